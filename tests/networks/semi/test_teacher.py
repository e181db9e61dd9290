import copy

import torch
from torch import nn

from wsseg.networks.semi import training as module
from wsseg.networks.semi.training import Teacher, look_ahead


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def disturb(student, seed):
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*student.parameters(), *student.buffers()):
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=random))
            else:
                value.add_(1)


def test_follows_by_the_closed_form():
    student = network()
    teacher = Teacher(student, 0.7)
    expected = {name: value.clone() for name, value in student.state_dict().items()}
    for update in range(6):
        disturb(student, update)
        teacher.update(student)
        decay = min(0.7, 1 - 1 / (update + 1))
        for name, value in student.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
            else:
                expected[name] = value.clone()
    torch.testing.assert_close(teacher.network.state_dict(), expected)


def test_first_update_is_a_copy():
    student = network()
    teacher = Teacher(student, 0.996)
    disturb(student, 0)
    teacher.update(student)
    torch.testing.assert_close(teacher.network.state_dict(), student.state_dict(), rtol=0, atol=0)


def test_predicts_probabilities_without_gradient_or_change_of_statistics():
    student = network()
    teacher = Teacher(student, 0.996)
    teacher.train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    found = teacher(torch.rand(2, 3, 4, 4))
    assert not found.requires_grad
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, 4, 4))
    torch.testing.assert_close(dict(teacher.state_dict()), before, rtol=0, atol=0)
    assert not any(value.requires_grad for value in teacher.parameters())


def test_looking_ahead_moves_the_teacher_and_puts_the_student_back(monkeypatch):
    monkeypatch.setattr(module, "GRADIENT_CLIP", 1.0)
    images = torch.rand(2, 3, 4, 4)

    def loss(of, by):
        return ((of(images).softmax(dim=1) - by(images)) ** 2).sum() + of(images).pow(2).mean()

    student = network()
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.05)
    loss(student, Teacher(student, 0.996)).backward()
    optimizer.step()
    teacher = Teacher(student, 0.9)
    weights = {name: value.clone() for name, value in student.state_dict().items()}
    state = optimizer.state_dict()["state"][0]["exp_avg"].clone()

    by_hand, twin = network(), Teacher(student, 0.9)
    by_hand.load_state_dict(weights)
    hand_optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.05)
    hand_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        twin.update(by_hand)
        hand_optimizer.zero_grad()
        loss(by_hand, twin).backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)
        hand_optimizer.step()
    twin.update(by_hand)

    look_ahead(
        student,
        optimizer,
        lambda: loss(student, teacher),
        lambda: teacher.update(student),
        steps=3,
    )
    torch.testing.assert_close(student.state_dict(), weights, rtol=0, atol=0)
    torch.testing.assert_close(optimizer.state_dict()["state"][0]["exp_avg"], state, rtol=0, atol=0)
    torch.testing.assert_close(
        teacher.network.state_dict(), twin.network.state_dict(), rtol=0, atol=0
    )
    assert not torch.equal(teacher.network[0].weight, weights["0.weight"])
