from receiver.table import size_text, table


def test_columns_are_as_wide_as_they_must_be_and_nothing_is_cut():
    lines = table(["id", "what"], [["j", "x" * 300], ["job-2", ""]]).splitlines()
    assert lines == ["ID     WHAT", f"j      {'x' * 300}", "job-2"]


def test_sizes_are_told_in_si_units():
    sizes = [None, 0, 999, 1000, 130_000, 5_400_000_000, 7_000_000_000_000_000]
    assert [size_text(size) for size in sizes] == ["", "0 B", "999 B", "1.0 kB", "130.0 kB", "5.4 GB", "7000.0 TB"]
