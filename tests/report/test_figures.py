import struct
import sys
import zlib

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.report import fit_figure, write_fit_png
from ivhedge.report.panels import smile_panels

pytest.importorskip("matplotlib")


def axes_named(figure, gid):
    return [ax for ax in figure.get_axes() if ax.get_gid() == gid]


def bars(ax):
    from matplotlib.collections import LineCollection

    return sum(len(item.get_segments()) for item in ax.collections if isinstance(item, LineCollection))


def points(ax, start):
    return sum(len(line.get_xdata()) for line in ax.lines if (line.get_gid() or "").startswith(start))


def test_a_figure_has_what_the_data_have(make_view):
    view = make_view()
    figure = fit_figure(view)
    panels = list(smile_panels(view.smiles))
    smiles, residuals = axes_named(figure, "smile"), axes_named(figure, "residuals")
    assert len(smiles) == len(residuals) == len(panels) == 6
    for panel, smile, below in zip(panels, smiles, residuals, strict=True):
        one_sided = panel.quotes.height - panel.two_sided.height
        assert one_sided > 0
        assert bars(smile) == panel.two_sided.height
        assert points(smile, "arrows") == one_sided
        assert points(smile, "rejected") == panel.quotes.filter(pl.col("state") == "rejected").height == 1
        assert points(smile, "model") == points(smile, "backbone") == panel.line.height
        assert bars(below) == panel.quotes["score"].count()
        assert smile.get_title(loc="left") == panel.title
    (term,) = axes_named(figure, "term")
    assert [len(line.get_xdata()) for line in term.lines] == [2 * view.term.height, view.term.height]


def test_the_certificate_is_written_out(make_view):
    view = make_view(certified=False, verdict="NOT certified: $x$ is no formula.")
    figure = fit_figure(view)
    (box,) = axes_named(figure, "certificate")
    assert {"steepest wing", "0.245 (Lee's bound: 2)", "0.41 vol points"} <= {t.get_text() for t in box.texts}
    heads = [text.get_text() for part in figure.subfigs for text in part.texts]
    assert view.verdict in heads
    assert view.notes[0] in heads


def test_no_backbone_line_where_there_is_none(make_view):
    view = make_view()
    figure = fit_figure(make_view(smiles=view.smiles.drop("backbone_iv", "rejected")))
    assert [points(ax, "backbone") + points(ax, "rejected") for ax in axes_named(figure, "smile")] == [0] * 6


@pytest.mark.parametrize("name", ["smiles", "term", "forwards"])
def test_what_is_missing_is_left_out(make_view, tmp_path, name):
    bare = make_view(**{name: getattr(make_view(), name).clear()})
    assert write_fit_png(bare, tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_view_gives_the_same_bytes_whatever_the_user_has_set(make_view, tmp_path):
    import matplotlib

    first = write_fit_png(make_view(), tmp_path / "a.png").read_bytes()
    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "red"}):
        second = write_fit_png(make_view(), tmp_path / "b.png").read_bytes()
        assert matplotlib.rcParams["font.size"] == 20.0
    assert first == second
    width, height = struct.unpack(">II", first[16:24])
    assert width > 1000
    assert height > 1000
    assert zlib.crc32(first[12:29]) == struct.unpack(">I", first[29:33])[0]


def test_pyplot_stays_out(make_view):
    fit_figure(make_view())
    assert "matplotlib.pyplot" not in sys.modules


def test_without_matplotlib_the_remedy_is_named(make_view, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'ivhedge\[plot\]'"):
        write_fit_png(make_view(), tmp_path / "fit.png")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(make_view, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="choose another path"):
        write_fit_png(make_view(), tmp_path / "file" / "fit.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="choose another path"):
        write_fit_png(make_view(), tmp_path / "folder")
