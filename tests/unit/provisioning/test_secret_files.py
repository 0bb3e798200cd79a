"""Files that hold a token or a password, and files that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_provisioning.secret_files import SecretFileError, read_password, read_token


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"two\nlines", "ü".encode(), b"\x00"])
def test_what_is_no_token_is_refused_and_not_shown(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(SecretFileError) as refusal:
        read_token(path)
    assert "two" not in str(refusal.value).replace(str(path), "")


@pytest.mark.parametrize("content", [b"", b"\n", b"pass\nword", b"\xff", b"pass\x00"])
def test_what_is_no_password_is_refused_and_not_shown(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(SecretFileError) as refusal:
        read_password(path)
    assert "ss" not in str(refusal.value).replace(str(path), "").replace("password", "")


def test_white_space_around_a_token_and_the_end_of_a_password_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" glsa_x\n", encoding="ascii")
    assert read_token(path) == "glsa_x"
    path.write_text("two wörds \r\n", encoding="utf-8")
    assert read_password(path) == "two wörds "


def test_a_file_that_is_not_there_or_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="cannot be read as a token: FileNotFoundError"):
        read_token(tmp_path / "none")
    with pytest.raises(SecretFileError, match="cannot be read as a password: IsADirectoryError"):
        read_password(tmp_path)
