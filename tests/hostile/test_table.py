from hostile.table import PAGE, page


def test_the_page_holds_the_cases_that_are_tested():
    assert PAGE.read_text() == page(PAGE.read_text())
