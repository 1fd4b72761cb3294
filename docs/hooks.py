"""What mkdocs does with links out of docs/: README.md becomes a page, other files of the repository copies that can be read."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FETCHING = re.compile(r"<script (?:src=\"\"|type=\"module\"|type=\"text/x-mathjax-config\")>.*?</script>", re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "readme.md", content=_within(readme, ROOT, files, config)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    written = page.file.src_uri.endswith(".md") and page.file.src_uri != "readme.md"
    return _within(markdown, ROOT / "docs", files, config) if written else markdown


def _within(markdown: str, folder: Path, files: Files, config: MkDocsConfig) -> str:
    """Text of a page in `folder` as one in docs/. Of links to folders the words are left."""

    def led(match: re.Match[str]) -> str:
        words, target, anchor = match[1], (folder / match[2]).resolve(), match[3] or ""
        if target.is_dir():
            return words
        if target == ROOT / "README.md":
            return f"[{words}](readme.md{anchor})"
        if target.is_relative_to(ROOT / "docs"):
            return f"[{words}]({target.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        name = f"source/{target.relative_to(ROOT).as_posix()}.txt"
        if not files.get_file_from_path(name):
            files.append(File.generated(config, name, content=target.read_bytes()))
        return f"[{words}]({name})"

    return LINK.sub(led, markdown.replace("](docs/images/", "](images/") if folder == ROOT else markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Of a notebook: links lead to pages, and the scripts go that would ask another host for formulas and diagrams."""
    if not page.file.src_uri.endswith(".ipynb"):
        return output
    return FETCHING.sub("", re.sub(r'href="\.\./([\w-]+)\.md', r'href="../\1.html', output))
