"""Clients in a random history that follow the changes, page by page at random moments."""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from tests.histories.history import History, owners
from tests.support.follower import Follower


class Changes(History):
    """Each person has a client that reads changes late. When it has read all of them, it has all tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.followers = {owner: Follower() for owner in self.people}
        self.resynced: set[str] = set()  # owners whose client has a token from before `app resync`

    @rule(owner=owners, limit=st.integers(1, 3))
    def follow(self, owner: str, limit: int) -> None:
        self.read_page(owner, self.followers[owner], limit)
        if self.followers[owner].token is None:
            self.resynced.discard(owner)

    @rule()
    def resync(self) -> None:
        self.app.resync()
        self.resynced = {owner for owner, follower in self.followers.items() if follower.token}
        for model in self.models.values():
            model.resync()

    @invariant()
    def a_client_that_catches_up_has_every_task(self) -> None:
        owner = sorted(self.people)[self.step // 2 % 2]  # in turn, because `step` grows by 2 after each rule
        follower = self.followers[owner].clone()
        while self.read_page(owner, follower, 200):
            pass
        assert follower.copy == self.models[owner].tasks

    def read_page(self, owner: str, follower: Follower, limit: int) -> bool:
        """Let a client read a page, or begin again. Return whether there are more."""
        since = f"&since={follower.token}" if follower.token else ""
        answer = self.ask(owner, "GET", f"changes?limit={limit}{since}")
        if answer.status_code == 410:
            assert owner in self.resynced
            follower.begin_again()
            return True
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["changes"]) <= limit
        return follower.apply(answer.json())
