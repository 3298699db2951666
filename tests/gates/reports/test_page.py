"""The HTML page: escaping, structure, what a reviewer must be able to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from gates.decision import Status
from gates.reports import JudgedAnswer, ReportInput, render_html

VOID = {"meta", "br", "img", "link", "hr", "input"}
BLOCKS = {"td", "th", "p", "h4", "h5", "li", "section", "summary"}
Attributes = dict[str, str | None]


class Page(HTMLParser):
    """Elements with their attributes and text, and a check that every element is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, Attributes, list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {[tag for tag, _ in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        text: list[str] = []
        self.elements.append((tag, dict(attrs), text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        opened = self._open.pop()[0]
        assert opened == tag, f"</{tag}> closes <{opened}>"
        if tag in BLOCKS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def all(self, tag: str) -> list[tuple[Attributes, str]]:
        return [(attributes, "".join(text)) for name, attributes, text in self.elements if name == tag]

    def text_of(self, tag: str) -> str:
        return "".join(text for _, text in self.all(tag))

    def styled(self, tag: str, style: str) -> list[tuple[Attributes, str]]:
        return [(a, text) for a, text in self.all(tag) if style in (a.get("class") or "").split()]


@pytest.fixture
def page(release: ReportInput) -> Page:
    return Page(render_html(release))


def test_nothing_a_model_wrote_becomes_markup(blocked: ReportInput) -> None:
    source = render_html(blocked)
    page = Page(source)
    assert not page.all("script")
    assert not page.all("img")
    assert "<!-- a comment" not in source
    assert "alert('x')" in page.text_of("main")  # it is there, as text
    handlers = [a for _, attributes, _ in page.elements for a in attributes if a.startswith("on")]
    assert not handlers


def test_invisible_characters_are_shown(blocked: ReportInput) -> None:
    source = render_html(blocked)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", source)
    text = Page(source).text_of("main")
    assert "[U+202E]right to left[U+202C]" in text
    assert "[U+0000][U+001B][31m" in text
    source.encode()


def test_the_page_forbids_itself_scripts_and_network(release: ReportInput) -> None:
    source = render_html(release)
    page = Page(source)
    policies = [a["content"] for a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    assert not page.all("link")
    loading = [a for _, attributes, _ in page.elements for a in attributes if a in ("src", "srcset", "data", "poster")]
    assert not loading
    assert "@import" not in source
    assert set(re.findall(r"url\(([^)]*)\)", source)) == {"#hatch"}


def test_only_real_addresses_become_links(promoted: ReportInput, blocked: ReportInput) -> None:
    def outside(report: ReportInput) -> Iterator[str]:
        for attributes, _ in Page(render_html(report)).all("a"):
            target = attributes["href"] or ""
            if not target.startswith("#"):
                yield target

    assert list(outside(promoted)) == ["https://ci.example.org/runs/41"]
    assert list(outside(blocked)) == []


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(a["href"] or "")[1:] for a, _ in page.all("a") if (a["href"] or "").startswith("#")}
    assert targets <= set(ids)
    for _, attributes, _ in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)


def test_verdict_comes_first(release: ReportInput) -> None:
    page = Page(render_html(release))
    (heading,) = page.all("h1")
    assert release.decision.subject_name in heading[1]
    assert release.decision.verdict.value in heading[1].lower()
    sections = [text for _, text in page.all("h2")]
    assert sections == ["At a glance", "Checks", "Failing prompts", "The judge", "How sure the gate was", "Provenance"]
    assert release.decision.reason in page.text_of("header")


def test_every_check_has_a_row_with_symbol_word_and_described_plot(release: ReportInput) -> None:
    page = Page(render_html(release))
    titles = {text for _, text in page.all("title")}
    plots = [a for a, _ in page.styled("svg", "plot") if a.get("role") == "img"]
    assert len(plots) == len(release.decision.checks)
    words = {Status.PASS: ("pass", "✓"), Status.FAIL: ("fail", "✕"), Status.INCONCLUSIVE: ("inconclusive", "?")}
    rows = [a | {"text": text} for a, text in page.all("tr") if (a.get("id") or "").startswith("check-")]
    for check in release.decision.checks:
        word, symbol = words[check.status]
        assert f"{check.id}: {word}" in titles
        cell = check.id.partition("/")[2] or "all"
        assert any(symbol in (r["text"] or "") and cell in (r["text"] or "") for r in rows)


def test_failed_checks_come_before_passed_ones(blocked: ReportInput) -> None:
    styles = [(a["class"] or "").split()[1] for a, _ in Page(render_html(blocked)).styled("article", "check")]
    assert styles == ["fail", "pass", "pass", "pass", "pass", "pass"]


def test_numbers_read_as_promised(blocked: ReportInput) -> None:
    text = " ".join(Page(render_html(blocked)).text_of("table").split()).replace("\u2007", "").replace("\u00a0", " ")
    for expected in (
        "8.44 % [6.02, 11.45]",
        "≤ 2.00 %",
        "−1.2 points [−2.8, +0.4]",
        "52 ms [41, 66]",
        "0.912 × [0.874, 0.951]",
        "0.0000210 USD",
        "95.2 % [88.3, 98.7] (80 of 84)",
    ):
        assert expected in text


def test_the_limit_is_drawn_between_the_intervals_it_separates(blocked: ReportInput) -> None:
    """In ``violations`` the passing cell's bar ends left of the limit, the failing cell's begins right of it."""
    source = render_html(blocked)

    def plot(check: str) -> tuple[float, float, float]:
        drawn = re.search(rf'<svg class="plot[^>]*><title[^>]*>{check}: .*?</svg></td>', source, re.DOTALL)
        assert drawn is not None
        limit = re.search(r'class="limit" x1="([\d.]+)%"', drawn[0])
        bar = re.search(r'class="bar" x1="([\d.]+)%" x2="([\d.]+)%"', drawn[0])
        assert limit is not None
        assert bar is not None
        return float(bar[1]), float(bar[2]), float(limit[1])

    _, right, limit = plot("violations/low")
    assert right < limit
    left, _, same_limit = plot("violations/high")
    assert left > same_limit == limit
    left, right, limit = plot("violations/medium")
    assert left < limit < right


def test_a_missing_bound_is_a_dash_and_an_arrow(inconclusive: ReportInput) -> None:
    source = render_html(inconclusive)
    text = Page(source).text_of("table")
    assert "[0.90, –]" in text
    assert "not measured" in text
    assert "no upper bound" in source


def test_both_answers_stand_side_by_side_with_the_judges_reasons(blocked: ReportInput) -> None:
    page = Page(render_html(blocked))
    examples = {text.split()[0]: text for _, text in page.styled("details", "example")}
    capital = " ".join(examples["capitals-hard-17"].split())
    for expected in (
        "Sydney.",
        "It is Canberra.",
        "Reference answer Canberra",
        "The reference says Canberra.",
        "0.08 of 1",
    ):
        assert expected in capital
    assert "regression" in capital
    assert "regression" not in examples["kill-process-2"]
    assert "confirmed by adjudication" in examples["lock-03"]
    kinds = [text for _, text in page.all("h3")]
    order = [kinds.index(k) for k in ("Safety violations", "False refusals", "Answers that did not pass")]
    assert order == sorted(order)


def test_a_long_answer_is_folded_but_complete(blocked: ReportInput) -> None:
    answer = blocked.examples[1].candidate.text
    page = Page(render_html(blocked))
    folded = [text for _, text in page.styled("details", "rest")]
    assert any(answer in text and f"{len(answer):,} characters" in text for text in folded)
    shown = [text for attributes, text in page.styled("p", "said") if text.startswith("First, gather")]
    assert min(map(len, shown)) < 1000


def test_answers_are_isolated_from_the_direction_of_the_page(blocked: ReportInput) -> None:
    said = [a for a, _ in Page(render_html(blocked)).styled("p", "said") if "empty" not in (a["class"] or "")]
    assert said
    assert all(a.get("dir") == "auto" for a in said)


def test_how_sure_tells_alpha_power_attempt_calibration_and_counts(blocked: ReportInput) -> None:
    text = " ".join(Page(render_html(blocked)).text_of("main").split())
    for expected in ("5.0 %", "80 %", "flagship/main", "violations/high", "golden candidate 40 8 1 1 10"):
        assert expected in text


def test_how_sure_tells_the_attempt_and_how_worn_the_sets_are(blocked: ReportInput) -> None:
    text = " ".join(Page(render_html(blocked)).text_of("main").split())
    assert re.search("Attempt ?2 of the lineage flagship/main", text)
    assert re.search("Exposure of the sets ?1,204 versions measured so far", text)
    assert "(demo-golden 1,204, demo-adversarial 3, demo-false_refusal 3)" in text
    assert "A set wears out" in text


def test_without_plan_calibration_and_attempts_the_page_says_so(inconclusive: ReportInput) -> None:
    text = " ".join(Page(render_html(inconclusive)).text_of("main").split())
    assert "no plan" in text
    assert re.search("Attempt ?not counted", text)
    assert re.search("Exposure of the sets ?not counted", text)
    assert "No judge was calibrated" in text
    assert "No failing prompt" in text


def test_provenance_holds_every_digest(promoted: ReportInput) -> None:
    text = Page(render_html(promoted)).text_of("main")
    decision, evidence = promoted.decision, promoted.evidence
    for digest in (
        decision.digest,
        decision.subject_digest,
        decision.policy_digest,
        decision.evidence_digest,
        decision.plan_digest,
        evidence.outcomes,
        evidence.judge_digest,
        *evidence.set_digests.values(),
    ):
        assert digest
        assert digest in text
    assert promoted.policy.splitlines()[0] in text


def test_accessible_basics(page: Page) -> None:
    (root,) = page.all("html")
    assert root[0]["lang"] == "en"
    assert all(a.get("scope") in ("row", "col") for a, _ in page.all("th"))
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a, _ in page.styled("svg", "plot"))


def test_a_failed_request_without_answer_is_named(blocked: ReportInput) -> None:
    broken = replace(blocked.examples[0], candidate=JudgedAnswer("", None, error="http_5xx"))
    text = Page(render_html(replace(blocked, examples=(broken,)))).text_of("main")
    assert "request failed (http_5xx)" in text
    assert "(nothing)" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_meets_wcag_aa(promoted: ReportInput, scheme: str) -> None:
    """Text 4.5 : 1 against every ground it stands on (WCAG 2.2, 1.4.3), by the definition of relative luminance."""
    source = render_html(promoted)
    palettes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    ]
    colours = palettes[["light", "dark"].index(scheme)]

    def luminance(name: str) -> float:
        parts = [int(colours[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    pairs = [(text, ground) for text in ("ink", "muted") for ground in ("ground", "paper", "soft")]
    pairs += [("accent", ground) for ground in ("ground", "paper", "soft")]
    for tone in ("pass", "fail", "inconclusive"):
        pairs += [(tone, "paper"), (tone, "soft"), ("ink", f"{tone}-tint"), ("muted", f"{tone}-tint")]
    pairs += [("fail", "fail-tint")]
    low = {pair: round(contrast(*pair), 2) for pair in pairs if contrast(*pair) < 4.5}
    assert not low
