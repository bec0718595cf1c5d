from so8t.data.privacy import scan


def found(text):
    return [(finding.kind.value, text[finding.start : finding.end]) for finding in scan(text)]


def test_a_list_of_members_is_read_by_its_heading():
    text = (
        "氏名,ふりがな,生年月日,電話番号,備考\n"
        "榎本 京子,えのもと きょうこ,1985/4/3,090-8765-4321,会員\n"
        "轟 慎,とどろき しん,H2.12.1,0263-22-1111,なし\n"
    )
    assert found(text) == [
        ("name", "榎本 京子"),
        ("name", "えのもと きょうこ"),
        ("birth_date", "1985/4/3"),
        ("phone", "090-8765-4321"),
        ("name", "轟 慎"),
        ("name", "とどろき しん"),
        ("birth_date", "H2.12.1"),
        ("phone", "0263-22-1111"),
    ]


def test_tabs_and_markdown_and_full_width_headings_are_tables_too():
    assert ("name", "轟 慎") in found("氏名\t住所\n轟 慎\t不詳\n")
    assert ("name", "Jo March") in found("| ｎａｍｅ | phone |\n| --- | --- |\n| Jo March | 415-555-2671 |\n")


def test_a_column_called_name_alone_is_no_list_of_people():
    assert found("name,value\nalpha,1\nbeta,2\n") == []


def test_the_table_ends_where_the_lines_have_another_number_of_columns():
    assert found("氏名,住所\n\n以上が項目、備考は任意\n") == []


def test_empty_and_redacted_cells_are_left():
    assert found("氏名,電話番号\n[name],[phone]\n-,なし\n") == []
