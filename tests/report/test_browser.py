"""The report as a person sees it, in headless Chromium."""

import pytest
from browser import SIZES, browser, page
from run_files import run_folder
from small_runs import own_place, train

from grpo_cli import report
from grpo_cli.runs import select

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The report that a training wrote, and one of two sides with three seeds each."""
    with pytest.MonkeyPatch.context() as patch:
        for place in own_place(tmp_path_factory.mktemp("report"), patch):
            run = place / train("env=CartPole-v1", "total_steps=3000", "eval_every=500")["run"]
            for seed in range(3):
                for name, lr in (("slow", 0.1), ("fast", 0.2)):
                    run_folder(place / "many", seed, name=name, lr=lr, returns=(1, 5, 3 + seed))
            report.write(select(["many"]), place / "many.html")
            yield {"one": (run / report.NAME).as_uri(), "many": (place / "many.html").as_uri()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one", "many"])
def test_the_page_fits_and_complains_of_nothing(chromium, files, name, size, scheme):
    with page(chromium, SIZES[size], color_scheme=scheme) as shown:
        shown.goto(files[name])
        assert shown.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        charts = shown.locator("figure svg")
        assert charts.count() > 3 if name == "one" else charts.count() == 1
        assert shown.locator("figure svg polyline").count() >= charts.count()
        assert shown.locator("h1").inner_text().startswith("CartPole-v1")
        background = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_curves_are_read_and_zoomed_by_mouse_and_keyboard(chromium, files):
    with page(chromium) as shown:
        shown.goto(files["one"])
        chart, said = shown.locator("figure svg").first, shown.locator("figure .read").first
        assert said.inner_text().startswith("at the end")
        box = chart.bounding_box()
        shown.mouse.move(box["x"] + 300, box["y"] + 100)
        assert "steps" in said.inner_text()
        before = chart.locator("text").all_inner_texts()
        shown.mouse.down()
        shown.mouse.move(box["x"] + 600, box["y"] + 100)
        shown.mouse.up()
        zoomed = chart.locator("text").all_inner_texts()
        assert zoomed != before
        # every chart shows the same steps
        second = shown.locator("figure svg").nth(1).locator("polyline").first
        assert len(second.get_attribute("points")) > 0
        shown.get_by_role("button", name="Show all").click()
        assert chart.locator("text").all_inner_texts() == before
        chart.focus()
        shown.keyboard.press("+")
        assert chart.locator("text").all_inner_texts() != before
        shown.keyboard.press("0")
        shown.keyboard.press("ArrowRight")
        there = said.inner_text()
        shown.keyboard.press("ArrowRight")
        assert said.inner_text() != there
        assert said.get_attribute("aria-live") == "polite"


def test_the_microscope_goes_through_updates_and_groups(chromium, files):
    with page(chromium) as shown:
        shown.goto(files["one"])
        slider = shown.get_by_role("slider", name="Update")
        last = slider.get_attribute("aria-valuetext")
        slider.focus()
        shown.keyboard.press("Home")
        assert slider.get_attribute("aria-valuetext").startswith("update 1,")
        assert slider.get_attribute("aria-valuetext") != last
        beaten = shown.locator("table.wins tbody tr")
        size = beaten.count()
        assert size >= 2
        assert beaten.first.locator("td").count() == size
        # what one won, the other lost
        cell = [[c.inner_text() for c in beaten.nth(i).locator("td").all()] for i in range(size)]
        opposite = {"+": "-", "-": "+"}
        for i in range(size):
            for j in range(i):
                mine, yours = cell[i][j], cell[j][i]
                assert mine == yours == "=" or opposite[mine[0]] + mine[1:] == yours


def test_sides_can_be_hidden(chromium, files):
    with page(chromium) as shown:
        shown.goto(files["many"])
        drawn = shown.locator("figure svg polyline")
        before = drawn.count()
        button = shown.get_by_role("button", name="lr=0.1 (3)")
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert drawn.count() == before // 2
        assert shown.get_by_text("Where the configs differ").is_visible()


def test_text_stands_out_from_its_ground(chromium, files):
    """Contrast of at least 4.5 for every colour of text (WCAG 2.1, level AA)."""
    script = """() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim().replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3');
        const linear = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
          .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
      };
      const names = 'fg dim accent good bad goal c0 c1 c2 c3 c4 c5'.split(' ');
      return names.map((name) => {
        const [a, b] = [light('--' + name), light('--bg')].sort((x, y) => y - x);
        return [name, (a + 0.05) / (b + 0.05)];
      });
    }"""
    for scheme in ("light", "dark"):
        with page(chromium, color_scheme=scheme) as shown:
            shown.goto(files["one"])
            assert [pair for pair in shown.evaluate(script) if pair[1] < 4.5] == []
