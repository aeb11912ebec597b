"""What a notebook shows: tables and figures with captions, audio to hear, numbers for the prose.

Each is an ordinary rich output, so a notebook reads the same in Jupyter and on Colab. It carries its name and
caption as metadata, from which `serab book` makes numbered tables and figures.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import display

from serab_lib.audio import decode
from serab_lib.core import SerabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Key of an output's metadata under which the book finds what it is.
METADATA_KEY = "serab"


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
    styler = shown.style.set_caption(caption).hide(axis="index").format(_as_html)
    data = {"text/html": styler.to_html(), "text/plain": f"{caption}\n\n{markdown}", "text/markdown": markdown}
    _publish(data, {"kind": "table", "name": name, "caption": caption, "sortable": sortable, "wordy": wordy})


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
        data = {"image/svg+xml": stream.getvalue().decode()}
    else:
        figure.savefig(stream, format="png", dpi=160, bbox_inches="tight")
        data = {"image/png": base64.b64encode(stream.getvalue()).decode()}
    _publish({**data, "text/plain": alt}, {"kind": "figure", "name": name, "caption": caption, "alt": alt})


def show_audio(recordings: dict[str, str | Path]) -> None:
    """Show one player per recording.

    Parameters
    ----------
    recordings : dict
        What it is to its file. The sound itself becomes part of the page, so only recordings whose licence
        allows that, such as the synthetic ones, belong here.
    """
    players = [
        f'<figure class="serab-audio"><figcaption>{html.escape(label)}</figcaption>'
        f'<audio controls preload="metadata" src="{_as_mp3(Path(path))}"></audio></figure>'
        for label, path in recordings.items()
    ]
    _publish({"text/html": f'<div class="serab-players">{"".join(players)}</div>', "text/plain": "audio players"}, {})


def show_downloads(files: dict[str, str], *, label: str) -> None:
    """Show links that save texts as files.

    Parameters
    ----------
    files : dict
        File name to content.
    label : str
        What they hold.
    """
    links = [
        f'<a download="{html.escape(name)}" href="data:text/plain;charset=utf-8;base64,'
        f'{base64.b64encode(content.encode()).decode()}">{html.escape(name)}</a>'
        for name, content in files.items()
    ]
    text = f'<p class="serab-downloads">{html.escape(label)}: {", ".join(links)}</p>'
    _publish({"text/html": text, "text/plain": f"{label}: {', '.join(files)}"}, {})


def show_banner(title: str, text: str, *, kind: str = "note") -> None:
    """Show a remark that no reader should miss.

    Parameters
    ----------
    title, text : str
    kind : {"note", "warning", "synthetic"}
    """
    classes = {"note": "admonition note", "warning": "admonition warning"}
    style = classes.get(kind, "admonition warning synthetic")
    box = f'<div class="{style}"><p class="admonition-title">{html.escape(title)}</p><p>{html.escape(text)}</p></div>'
    _publish({"text/html": box, "text/plain": f"{title}: {text}"}, {})


def show_markdown(text: str, *, name: str) -> None:
    """Show text that was put together by the library.

    Parameters
    ----------
    text : str
        Markdown.
    name : str
        What it is.
    """
    _publish({"text/markdown": text, "text/plain": text}, {"kind": "markdown", "name": name})


def record(**values: object) -> None:
    """Keep numbers for the prose, which takes them with the role `glue:text`.

    Parameters
    ----------
    **values
        Names, unique in the notebook, to numbers or texts.

    Notes
    -----
    Writes what `myst_nb.glue` writes, without needing it where a notebook runs.
    """
    for name, value in values.items():
        prefix = "application/papermill.record/"
        # A text keeps its quotes, or the book would read `2,000` as two numbers and `0.10` as one digit.
        text = repr(getattr(value, "item", lambda value=value: value)())
        display({f"{prefix}text/plain": text}, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": prefix}})


def _publish(data: dict[str, str], description: dict[str, Any]) -> None:
    display(data, raw=True, metadata={METADATA_KEY: description})


def _as_mp3(path: Path) -> str:
    import soundfile

    waveform, sample_rate = decode(path)
    stream = io.BytesIO()
    try:
        soundfile.write(stream, waveform.numpy(), sample_rate, format="MP3")
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        raise SerabError(f"this libsndfile writes no MP3 ({error}): upgrade soundfile to 0.12 or later") from error
    return "data:audio/mpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _format_value(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)) or value is pd.NA:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    item = getattr(value, "item", None)  # numpy's scalars
    if item is not None and not isinstance(value, str):
        return _format_value(item())
    return str(value).replace("|", "\\|").replace("\n", " ")


def _is_numeric(column: pd.Series) -> bool:
    text = column.astype(str).str.replace(r"[*–,%+\-−±.\s\d\[\]()…]", "", regex=True)
    return bool((text == "").all())


def _as_html(text: str) -> str:
    """Write the little Markdown that tables hold as HTML."""
    import re

    text = html.escape(text.replace("\\|", "|"))
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\[(.+?)\]\((https?://.+?)\)", r'<a href="\2">\1</a>', text)
