"""How the page looks: on a narrow screen, in forced colours, and a title beside its checkbox."""

import pytest
from playwright.async_api import Page, expect

from tests.support.servers.site import Site, Visitor

pytestmark = pytest.mark.server

LONG = "Photographs of grandmother's birthday"


async def width(page: Page, selector: str) -> float:
    """Return the width of an element in pixels."""
    return float(
        await page.locator(selector).first.evaluate("(element) => element.getBoundingClientRect().width")
    )


async def test_at_320_pixels_a_title_in_the_trash_and_in_my_order_has_most_of_the_row(
    site: Site, page: Page
) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    ann = await Visitor.signed_up(page, site)
    await ann.add(LONG, "Milk")

    await page.get_by_label("Order").select_option("position")
    await expect(page.get_by_role("button", name="Move Milk up")).to_be_visible()
    assert await width(page, ".task .title") >= 200
    await page.get_by_role("button", name=f"Delete {LONG}").click()
    await ann.show("Trash")
    await expect(page.get_by_role("button", name=f"Restore {LONG}")).to_be_visible()

    assert await width(page, ".task .title") >= 250


async def test_at_320_pixels_the_one_button_of_an_open_task_is_beside_its_title(
    site: Site, page: Page
) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    ann = await Visitor.signed_up(page, site)
    await ann.add(LONG)
    top = "(element) => element.getBoundingClientRect().top"

    tops = [await page.locator(f".task .{part}").evaluate(top) for part in ("what", "actions")]

    assert tops[0] == tops[1]


async def test_at_320_pixels_a_date_has_its_own_line_so_that_its_icon_covers_no_letter(
    site: Site, page: Page
) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit("Milk")

    assert await width(page, ".editor input[type=date]") == await width(page, ".editor .due")


async def test_in_forced_colours_add_has_a_border_and_the_pressed_filter_has_its_own_background(
    site: Site, page: Page
) -> None:
    await Visitor.signed_up(page, site)
    await page.emulate_media(forced_colors="active")
    filters = page.get_by_role("group", name="Which tasks")
    background = "(element) => getComputedStyle(element).backgroundColor"

    pressed, other = [
        await filters.get_by_role("button", name=name).evaluate(background) for name in ("Open", "Done")
    ]

    assert pressed != other
    border = "(element) => { const {borderTopWidth: w, borderTopColor: c} = getComputedStyle(element); return `${w} ${c}`; }"
    edge = await page.get_by_role("button", name="Add", exact=True).evaluate(border)
    assert edge.startswith("1px rgb(")


async def test_the_middle_of_a_title_is_at_the_height_of_the_middle_of_its_checkbox(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    middle = (
        "(element) => { const {top, bottom} = element.getBoundingClientRect(); return (top + bottom) / 2; }"
    )

    middles = [await page.locator(part).evaluate(middle) for part in (".check input", ".title bdi")]

    assert abs(middles[0] - middles[1]) < 1


async def test_the_list_in_the_trash_is_named_tasks_in_the_trash(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await page.get_by_role("button", name="Delete Milk").click()

    await ann.show("Trash")

    await expect(page.get_by_role("list", name="Tasks in the trash")).to_contain_text("Milk")
