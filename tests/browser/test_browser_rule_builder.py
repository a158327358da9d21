"""What scripts add where a template is written: macros at the caret, marks, fixes in place."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.faults import faults

ADD = "/admin/postbacks/callbackrule/add/"
AT = "https://ads.example.com/?"


@pytest.fixture
def page(page: Page) -> Page:
    """An empty form in front of the owner; its scripts may complain of nothing."""
    page.goto(ADD)
    return page


def _url(page: Page) -> Locator:
    return page.get_by_label("URL")


def _settled(page: Page) -> None:
    """Wait until the server has answered to what was typed."""
    expect(page.locator("#rule-state")).not_to_have_text("Updating…")


def _marked(page: Page, kind: str, field: str = "url") -> list[str]:
    layer = page.locator(f"[data-field={field}] .rule-layer")
    return layer.locator(f".rule-mark--{kind}").all_text_contents()


def test_a_macro_comes_to_where_the_caret_is(page: Page) -> None:
    _url(page).fill(f"{AT}id=&event=x")
    _url(page).evaluate("(field, place) => field.setSelectionRange(place, place)", len(f"{AT}id="))

    page.get_by_text("Macros you can use").click()
    page.get_by_label("Find a macro").fill("advertising_id")
    page.keyboard.press("Enter")

    expect(_url(page)).to_have_value(f"{AT}id={{{{advertising_id}}}}&event=x")
    expect(_url(page)).to_be_focused()


def test_macros_are_marked_and_their_marks_move_with_the_text(page: Page) -> None:
    url = f"{AT}😀={{{{idfa}}}}&b={{{{idfaa}}}}&c={{{{idfa|uper}}}}&d={{idfa}}"
    _url(page).fill(url)

    layer = page.locator("[data-field=url] .rule-layer")
    expect(layer.locator(".rule-mark--unknown")).to_have_text("{{idfaa}}")
    assert _marked(page, "known") == ["{{idfa}}"]
    assert _marked(page, "filter") == ["{{idfa|uper}}"]
    assert _marked(page, "odd") == ["😀", "{idfa}"]
    assert layer.evaluate("layer => layer.textContent") == url
    assert layer.get_attribute("aria-hidden") == "true"

    page.route("**/preview/**", lambda route: route.abort())
    _url(page).press("Home")
    page.keyboard.press("ControlOrMeta+Home")
    page.keyboard.type("  ")
    assert _marked(page, "unknown") == ["{{idfaa}}"]
    _url(page).evaluate("field => { field.value = field.value.replace('idfaa', 'idfa'); }")
    _url(page).dispatch_event("input")
    assert _marked(page, "unknown") == []
    page.unroute("**/preview/**")


def test_the_layer_lies_exactly_behind_the_text(page: Page) -> None:
    _url(page).fill(f"{AT}" + "&".join(f"name{i}={{{{advertising_id}}}}" for i in range(40)))
    expect(page.locator("[data-field=url] .rule-mark--known")).to_have_count(40)

    _url(page).evaluate("field => { field.scrollTop = 100; }")
    page.wait_for_function(
        "document.querySelector('[data-field=url] .rule-layer').scrollTop === 100"
    )
    page.wait_for_function(
        """() => {
          const field = document.getElementById("id_url");
          const layer = document.querySelector("[data-field=url] .rule-layer");
          const [over, under] = [field, layer].map((each) => each.getBoundingClientRect());
          return field.scrollHeight === layer.scrollHeight
            && Math.abs(over.left + field.clientLeft - under.left) < 1
            && Math.abs(over.top + field.clientTop - under.top) < 1;
        }"""
    )


def test_marks_end_lines_nowhere_else_than_the_text_does(page: Page) -> None:
    _url(page).fill(f"{AT}" + "&".join(f"n{i}={{{{advertising_id}}}}" for i in range(12)))
    expect(page.locator("[data-field=url] .rule-mark--known")).to_have_count(12)

    astray = page.evaluate(
        """() => {
          const layer = document.querySelector("[data-field=url] .rule-layer");
          const plain = layer.cloneNode();
          plain.textContent = layer.textContent;
          layer.after(plain);
          layer.scrollTop = 0;
          const place = (text, offset) => {
            const range = document.createRange();
            range.setStart(text, offset);
            range.setEnd(text, offset + 1);
            return range.getBoundingClientRect();
          };
          const astray = [];
          for (let width = 300; width < 380; width += 3) {
            layer.style.width = plain.style.width = `${width}px`;
            let start = 0;
            for (const part of layer.childNodes) {
              const text = part.firstChild ?? part;
              for (let offset = 0; offset < text.length; offset++, start++) {
                const [is, should] = [place(text, offset), place(plain.firstChild, start)];
                if (Math.hypot(is.left - should.left, is.top - should.top) > 2) {
                  astray.push([width, start]);
                }
              }
            }
          }
          plain.remove();
          return astray;
        }"""
    )

    assert astray == []


def test_a_press_mends_a_mistake_and_can_be_undone(page: Page) -> None:
    _url(page).fill(f"{AT}é=😀{{{{advertisng_id}}}}")

    page.get_by_role("button", name="Use advertising_id").click()

    expect(_url(page)).to_have_value(f"{AT}é=😀{{{{advertising_id}}}}")
    expect(_url(page)).to_be_focused()
    expect(page.get_by_role("button", name="Use advertising_id")).to_have_count(0)
    assert _marked(page, "known") == ["{{advertising_id}}"]
    page.keyboard.press("ControlOrMeta+z")
    expect(_url(page)).to_have_value(f"{AT}é=😀{{{{advertisng_id}}}}")


def test_a_mistake_is_mended_by_keyboard_alone(page: Page) -> None:
    page.get_by_text("Headers and body", exact=True).click()
    page.get_by_label("Headers").fill("X-Id: {idfa}")
    expect(page.get_by_role("button", name="Use {{idfa}}")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Use {{idfa}}")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_label("Headers")).to_have_value("X-Id: {{idfa}}")
    expect(page.get_by_label("Headers")).to_be_focused()


def test_a_choice_is_mended_by_a_press_too(page: Page) -> None:
    page.get_by_text("More: missing values, consent, revenue").click()
    page.get_by_label("Without consent").select_option("send")
    _url(page).fill(f"{AT}a={{{{idfa}}}}")

    page.get_by_role("button", name="Use strip").click()

    expect(page.get_by_label("Without consent")).to_have_value("strip")
    expect(page.get_by_role("button", name="Use strip")).to_have_count(0)


def test_json_is_formatted_by_a_press(page: Page) -> None:
    page.get_by_label("Method", exact=True).select_option("POST")
    _url(page).fill(AT)
    page.get_by_text("Headers and body", exact=True).click()
    page.get_by_label("Kind of body").select_option("json")
    body = page.get_by_label("Body", exact=True)
    body.fill('{"a":{{revenue}},"b":"{{idfaa}}"}')

    page.get_by_role("button", name="Format the JSON").click()

    expect(body).to_have_value('{\n  "a": {{revenue}},\n  "b": "{{idfaa}}"\n}')
    expect(
        page.get_by_text("Line 3: Unknown macro idfaa. Did you mean idfa?", exact=True)
    ).to_be_visible()


def test_only_what_the_authentication_needs_is_asked(page: Page) -> None:
    page.get_by_text("Authentication and signature", exact=True).click()
    expect(page.get_by_label("Algorithm")).to_be_hidden()

    page.get_by_label("Authentication", exact=True).select_option("hmac")
    expect(page.get_by_label("Algorithm")).to_be_visible()
    page.get_by_label("Authentication", exact=True).select_option("bearer")

    expect(page.get_by_label("Credential", exact=True)).to_be_visible()
    expect(page.get_by_label("Algorithm")).to_be_hidden()


def test_conditions_are_rows_with_inputs_that_fit_their_fields(page: Page) -> None:
    page.get_by_text("Conditions", exact=True).first.click()
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Field of condition 1").fill("country")
    page.get_by_label("Comparison of condition 1").select_option("is one of")
    page.get_by_label("Value of condition 1").fill("DE, AT")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Field of condition 2").fill("limit_ad_tracking")
    page.get_by_label("Value of condition 2").select_option("no")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Field of condition 3").fill("revenu")
    page.get_by_label("Comparison of condition 3").select_option("is at least")
    page.get_by_label("Value of condition 3").fill("5")

    page.get_by_role("button", name="Use revenue").click()

    expect(page.get_by_label("Field of condition 3")).to_have_value("revenue")
    page.get_by_role("button", name="Remove condition 2").click()
    page.get_by_role("button", name="Write as text").click()
    expect(page.get_by_label("Conditions")).to_have_value("country in DE, AT\nrevenue ≥ 5")


def test_lines_that_are_no_conditions_stay_a_text(page: Page) -> None:
    page.get_by_text("Conditions", exact=True).first.click()
    page.get_by_role("button", name="Write as text").click()
    page.get_by_label("Conditions").fill("country")

    page.get_by_role("button", name="Write in rows").click()

    expect(page.get_by_label("Conditions")).to_have_value("country")
    page.get_by_label("Conditions").fill("country exists")
    page.get_by_role("button", name="Write in rows").click()
    expect(page.get_by_label("Value of condition 1")).to_have_value("")


def test_nothing_is_wrong_with_the_page_while_it_is_full_of_mistakes(page: Page) -> None:
    _url(page).fill("http://ads.example.com/?a={idfa}&b={{idfaa}}&a={{idfa|uper}}")
    expect(page.get_by_role("button", name="Use {{idfa}}")).to_be_visible()
    page.get_by_text("Conditions", exact=True).first.click()
    page.get_by_role("button", name="Add a condition").click()

    assert faults(page) == []
