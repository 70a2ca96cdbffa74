"""A rendered film is a film: Chromium plays it from the sandbox."""

import pytest

from tests.chromium import chromium

PLAY = """async url => {
    const video = document.createElement('video');
    video.muted = true;
    video.src = url;
    document.body.append(video);
    await new Promise((yes, no) => {
        video.onended = yes;
        video.onerror = () => no(new Error(video.error.message));
        video.playbackRate = 4;
        video.play().catch(no);
    });
    return [video.videoWidth, video.videoHeight, video.duration, video.currentTime];
}"""


@pytest.fixture(scope="module")
def page():
    with chromium() as browser:
        yield browser.new_page()


def test_every_base_film_plays_to_its_end(play, page):
    one = play(dialect="g2", film_bytes="30000-30000")
    job_id = one.finished_job()
    renders = {}
    # Which base film it is follows from the render's id: go on until there was each of them.
    while len(renders) < 3:
        render_id = one.order(job_id).json()["renderId"]
        renders[b"".join(one.sandbox.film(render_id).read(0, 3000))] = render_id
    one.clock.advance(100)

    page.goto(one.sandbox.url)
    for render_id in renders.values():
        width, height, duration, reached = page.evaluate(PLAY, f"/media/{render_id}/out.mp4")
        assert (width, height) == (180, 320)
        assert duration == pytest.approx(2.0, abs=0.1)
        assert reached == pytest.approx(duration, abs=0.1)
