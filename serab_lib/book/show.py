"""What a notebook shows: tables and figures with captions, audio to hear, numbers for the prose.

Each is an ordinary rich output, so a notebook reads the same in Jupyter and on Colab. It carries its name and
caption as metadata, from which `serab book` makes numbered tables and figures.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import display

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Key of an output's metadata under which the book finds what it is.
METADATA_KEY = "serab"
_HYPHEN_FOR_MINUS = re.compile(r"(?<![\w-])-(?=\d)")


def show_table(
    frame: pd.DataFrame, *, name: str, caption: str, sortable: bool = False, wordy: bool = False, index: bool = True
) -> None:
    """Show a table with its caption.

    Parameters
    ----------
    frame : pandas.DataFrame
        As it should look: numbers already written as text where their form matters. `**bold**` and links in
        Markdown are kept.
    name : str
        For cross-references, such as `tbl-accuracy`.
    caption : str
        Markdown.
    sortable : bool
        Whether readers of the site can sort, filter and download it.
    wordy : bool
        Whether its cells hold sentences, which wrap.
    index : bool
        Whether the row names are part of the table.
    """
    shown = frame.reset_index() if index else frame
    shown = shown.map(_format_value).rename(columns=lambda name: str(name).replace("_", " "))
    alignment = ["right" if _is_numeric(shown[column]) else "left" for column in shown]
    markdown = shown.to_markdown(index=False, colalign=alignment, disable_numparse=True)
    styler = shown.style.set_caption(_as_html(caption)).hide(axis="index").format(_as_html)
    numeric = ", ".join(f".col{number}" for number, side in enumerate(alignment) if side == "right")
    styles = {"caption": "caption-side: top", "caption, th, td": "text-align: left", numeric: "text-align: right"}
    styler = styler.set_table_styles([{"selector": each, "props": css} for each, css in styles.items() if each])
    data = {"text/html": styler.to_html(), "text/plain": f"{caption}\n\n{markdown}", "text/markdown": markdown}
    _publish(data, kind="table", name=name, caption=caption, sortable=sortable, wordy=wordy)


def show_figure(figure: Figure, *, name: str, caption: str, alt: str, vector: bool = True) -> None:
    """Show a figure with its caption.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        For cross-references, such as `fig-pipeline`.
    caption : str
        Markdown.
    alt : str
        What the figure shows, for those who cannot see it.
    vector : bool
        SVG; False for PNG, where there are thousands of marks.
    """
    import matplotlib as mpl

    stream = io.BytesIO()
    if vector:
        with mpl.rc_context({"svg.hashsalt": "serab"}):  # the same figure gives the same file
            figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    else:
        figure.savefig(stream, format="png", dpi=160, bbox_inches="tight")
    kind, encoded = "image/svg+xml" if vector else "image/png", _as_base64(stream.getvalue())
    image = (
        f'<img src="data:{kind};base64,{encoded}" alt="{html.escape(alt)}" style="background: white; max-width: 100%">'
    )
    data = {
        kind: stream.getvalue().decode() if vector else encoded,
        "text/html": f"<figure>{image}<figcaption>{_as_html(caption)}</figcaption></figure>",
    }
    _publish(data | {"text/plain": alt}, kind="figure", name=name, caption=caption, alt=alt)


def show_audio(recordings: Mapping[str, str | Path]) -> None:
    """Show a player for each recording, which becomes part of the page: only where its licence allows that."""
    players = [
        f'<figure class="serab-audio"><figcaption>{html.escape(label)}</figcaption><audio controls preload="metadata" '
        f'aria-label="{html.escape(label)}" src="{_as_mp3(Path(path))}"></audio></figure>'
        for label, path in recordings.items()
    ]
    _publish({"text/html": f'<div class="serab-players">{"".join(players)}</div>', "text/plain": "audio players"})


def show_downloads(files: Mapping[str, str], *, label: str) -> None:
    """Show links that save texts, by file name, as files."""
    links = [
        f'<a download="{html.escape(name)}" href="data:text/plain;charset=utf-8;base64,'
        f'{_as_base64(content.encode())}">{html.escape(name)}</a>'
        for name, content in files.items()
    ]
    text = f'<p class="serab-downloads">{html.escape(label)}: {", ".join(links)}</p>'
    _publish({"text/html": text, "text/plain": f"{label}: {', '.join(files)}"})


def show_banner(title: str, text: str) -> None:
    """Say that what follows is synthetic, so that no reader misses it."""
    inside = f'<p class="admonition-title">{html.escape(title)}</p><p>{html.escape(text)}</p>'
    box = f'<div class="admonition warning synthetic">{inside}</div>'
    _publish({"text/html": box, "text/plain": f"{title}: {text}"})


def show_markdown(text: str) -> None:
    """Show Markdown that was put together by the library."""
    _publish({"text/markdown": text, "text/plain": text}, kind="markdown")


def record(**values: object) -> None:
    """Keep numbers for the prose, which takes them with the role `glue:text`: what `myst_nb.glue` writes."""
    for name, value in values.items():
        prefix = "application/papermill.record/"
        # A text keeps its quotes, or the book would read `2,000` as two numbers and `0.10` as one digit.
        text = repr(getattr(value, "item", lambda value=value: value)())
        text = _HYPHEN_FOR_MINUS.sub("−", text) if isinstance(value, str) else text
        display({f"{prefix}text/plain": text}, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": prefix}})


def _publish(data: dict[str, str], **description: Any) -> None:
    display(data, raw=True, metadata={METADATA_KEY: description})


def _as_mp3(path: Path) -> str:
    import soundfile

    from serab_lib.audio import decode  # brings torch, which most chapters do without

    waveform, sample_rate = decode(path)
    stream = io.BytesIO()
    soundfile.write(stream, waveform.numpy(), sample_rate, format="MP3")
    return f"data:audio/mpeg;base64,{_as_base64(stream.getvalue())}"


def _as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _format_value(value: Any) -> str:
    value = getattr(value, "item", lambda: value)()  # numpy's scalars
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:z.1f}".replace("-", "−")
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return f"{value:,}" if isinstance(value, int) else _HYPHEN_FOR_MINUS.sub("−", text)


def _is_numeric(column: pd.Series) -> bool:
    text = column.astype(str).str.replace(r"[*–,%+<\-−±.\s\d\[\]()…]", "", regex=True)
    return bool((text == "").all())


def _as_html(text: str) -> str:
    """Write the little Markdown that tables and captions hold as HTML."""
    text = html.escape(text.replace("\\|", "|"))
    for mark, tag in ((r"\*\*", "b"), (r"\*", "em"), ("`", "code")):
        text = re.sub(rf"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", text)
    return re.sub(r"\[(.+?)\]\(((?:https?://|#).+?)\)", r'<a href="\2">\1</a>', text)
