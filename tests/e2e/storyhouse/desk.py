"""A person at the desk, without a browser: the same interface, session and header as the page's."""

from typing import Any

import aiohttp

__all__ = ["Desk"]


class Desk:
    """One person's session. `close` it."""

    def __init__(self, client: aiohttp.ClientSession, base: str) -> None:
        self._client, self._base = client, base

    @classmethod
    async def sign_in(cls, base: str, link: str) -> "Desk":
        """Use a sign-in link."""
        client = aiohttp.ClientSession(base, cookie_jar=aiohttp.CookieJar(unsafe=True))
        token = link.partition("token=")[2]
        async with client.post(
            "/desk/login", data={"token": token}, headers={"Origin": base}, allow_redirects=False
        ) as answer:
            assert answer.headers["Location"] == "/desk", answer.headers["Location"]
        return cls(client, base)

    async def close(self) -> None:
        await self._client.close()

    async def get(self, path: str) -> Any:
        """What the interface shows."""
        async with self._client.get(f"/desk/api/{path}") as answer:
            assert answer.status == 200, (path, answer.status, await answer.text())
            return await answer.json()

    async def try_to(self, path: str, **body: Any) -> tuple[int, Any]:
        """Ask for a change: status and answer."""
        headers = {"Origin": self._base, "X-Contactbus-Desk": "1", "Content-Type": "application/json"}
        async with self._client.post(f"/desk/api/{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def do(self, path: str, **body: Any) -> Any:
        """Change something, which must be allowed."""
        status, answer = await self.try_to(path, **body)
        assert status == 200, (path, status, answer)
        return answer

    async def case(self, case: str) -> Any:
        """A case as the desk shows it."""
        return await self.get(f"cases/{case}")

    async def timeline(self, case: str, *kinds: str) -> list[Any]:
        """The events of a case; those of some kinds only."""
        events = (await self.case(case))["events"]
        return [event for event in events if not kinds or event["kind"] in kinds]

    async def queue(self, view: str = "waiting") -> Any:
        return (await self.get(f"queue?view={view}"))["rows"]

    async def reply(self, case: str, text: str, **more: Any) -> None:
        """Write to the customer, having seen everything there is."""
        row = (await self.case(case))["row"]
        writing = {"channel": row["channel"], "language": row["language"], "seen": row["version"], **more}
        await self.do(f"cases/{case}/reply", text=text, **writing)
