from hypothesis import given
from hypothesis import strategies as st

from so8t.data.clean.extract import extract


def test_what_a_reader_sees_is_taken_and_menus_scripts_and_forms_are_not():
    page = """<!doctype html><html lang=ja><head><title> 凍結を
    防ぐ </title><style>p{}</style><script>var p = "<p>no</p>";</script></head>
    <body><nav><a href=/>ホーム</a><a href=/x>一覧</a></nav>
    <h1>見出し</h1><p>本文の<b>太字</b>と<a href=#>リンク</a>。</p><ul><li>一<li>二</ul>
    <p hidden>隠し</p><div style="display: none">見えない</div><button>押す</button>
    <table><tr><td>左</td><td>右</td></tr></table><footer>連絡先</footer></body></html>"""
    assert extract(page) == ("凍結を 防ぐ", "見出し\n本文の太字とリンク。\n一\n二\n左\n右")


def test_a_page_inside_a_form_or_with_an_open_head_is_not_lost():
    assert extract("<head><title>t</title><body><form><p>text</p></form>") == ("t", "text")


def test_entities_are_read_and_comments_left_out():
    assert extract("<p>a &amp; b &lt;c&gt;<!-- secret --> &#12354;") == ("", "a & b <c> あ")


def test_an_end_closes_what_was_left_open_inside_it():
    assert extract("<nav><ul><li>menu</nav><p>text") == ("", "text")


def test_line_ends_inside_a_paragraph_are_spaces():
    assert extract("<p>one\ntwo\t three")[1] == "one two three"


def test_ten_thousand_nested_elements_are_read():
    assert extract("<div>" * 10_000 + "deep")[1] == "deep"


@given(st.text(st.sampled_from("<>/!-pdiv =\"'&;nascript title\x00\n"), max_size=120))
def test_any_text_is_read(text):
    extract(text)
