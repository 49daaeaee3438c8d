import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.report.markup import Markup, json_block, table, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = tag("b", '<i> & "q"')
    assert inner == "<b>&lt;i&gt; &amp; &quot;q&quot;</b>"
    assert tag("p", inner, title='"><script>') == (
        '<p title="&quot;&gt;&lt;script&gt;"><b>&lt;i&gt; &amp; &quot;q&quot;</b></p>'
    )


def test_attributes_that_are_none_are_left_out() -> None:
    assert tag("meta", name="a", content=None) == '<meta name="a">'


def test_table_aligns_numbers_and_escapes_cells() -> None:
    shown = table(["Name", "x"], [["<a>", Markup("<b>1</b>")]])
    assert '<td class="text">&lt;a&gt;</td><td class="num"><b>1</b></td>' in shown


@settings(deadline=None)
@given(st.text())
def test_no_text_leaves_its_script_element(text: str) -> None:
    block = json_block({"name": text, "key" + text: 1})
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == {"name": text, "key" + text: 1}


def test_what_is_not_finite_becomes_null() -> None:
    assert json_block([math.nan, math.inf, 1 / 3, 2]) == "[null,null,0.3333333,2]"
