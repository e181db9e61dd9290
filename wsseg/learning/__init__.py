"""What every network that wsseg trains needs: weights, batches by the step, a resumable fit."""
