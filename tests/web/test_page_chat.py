"""The chat: answers as they come, stopping, what goes wrong."""

from selenium.webdriver.common.keys import Keys


def test_round_trip(page):
    page.ask("What is 40 + 2? Answer briefly.")
    note = page.wait_for_end(seconds=60)
    assert page.text(".message.user .body") == "What is 40 + 2? Answer briefly."
    assert page.text(".message.assistant").strip()
    assert "token" in note
    assert page.value("document.querySelector('.message.assistant').ariaBusy") == "false"
    assert page.count(".failure") == 0


def test_reasoning_is_open_while_thinking_and_folded_after(page, mock):
    mock.delay = 0.01
    page.ask("Think long.")
    page.wait("document.querySelector('.reasoning')?.open")
    assert page.text(".reasoning summary").startswith("Thinking · ")
    page.wait_for_end()
    assert page.value("document.querySelector('.reasoning').open") is False
    thought, elapsed, tokens = page.text(".reasoning summary").split(" · ")
    assert (thought, tokens) == ("Thought", "321 tokens")
    assert float(elapsed.removesuffix(" s")) > 1
    assert page.text(".thoughts").startswith("Let me go over this step again")
    assert page.text(".message.assistant .body") == "The answer is 42."
    assert page.text(".message.assistant .body strong") == "42"
    assert page.text(".message.assistant .note") == (
        "325 tokens · 42 tokens/s · 1 eviction · vase, budget 256"
    )
    page.click(".reasoning summary")
    assert page.value("document.querySelector('.reasoning').open") is True


def test_stop(page, server):
    page.open(settings={"max_tokens": 4000})
    page.ask("Write an endless story.")
    page.wait("document.querySelector('.message.assistant .body, .thoughts')?.textContent", 60)
    assert page.value("document.querySelector('#send').hidden")
    page.click("#stop")
    note = page.wait_for_end(seconds=2)
    assert note.startswith("Stopped · ")
    page.wait("document.querySelector('#server').textContent.includes(' 0 of ')")
    if server:
        assert server.cancelled == 1


def test_conversation_survives_a_reload_and_can_be_cleared(page):
    page.ask("Say hello.")
    page.wait_for_end(seconds=60)
    before = page.text("#messages")
    page.driver.refresh()
    assert page.text("#messages") == before
    assert page.value("document.querySelector('#welcome').hidden")
    page.click("#clear")
    assert page.count(".message") == 0
    page.driver.refresh()
    assert page.count(".message") == 0
    assert not page.value("document.querySelector('#welcome').hidden")


def test_clearing_ends_the_answer_and_makes_room_for_the_next(page, mock):
    page.ask("An endless one.")
    page.wait("document.querySelector('.thoughts')?.textContent")
    page.click("#clear")
    page.ask("A short one.")
    page.wait_for_end()
    assert page.text("#messages").count("The answer is 42.") == 1
    assert page.count(".message") == 2


def test_a_reload_in_the_middle_keeps_what_came(page, mock):
    page.ask("An endless one.")
    page.wait("document.querySelector('.thoughts')?.textContent.length > 100")
    page.driver.refresh()
    assert page.text(".thoughts").startswith("I keep thinking")
    assert page.text(".message.assistant .note") == "Cut short by a reload."


def test_the_second_question_carries_the_conversation(page, mock):
    page.ask("First.")
    page.wait_for_end()
    page.ask("Second.")
    page.wait_for_end()
    assert mock.requests[-1]["messages"] == [
        {"role": "user", "content": "First."},
        {"role": "assistant", "content": "The answer is **42**."},
        {"role": "user", "content": "Second."},
    ]


def test_enter_sends_and_shift_enter_does_not(page, mock):
    page.find("#prompt").send_keys("One" + Keys.SHIFT + Keys.ENTER + Keys.NULL + "two" + Keys.ENTER)
    page.wait_for_end()
    assert mock.requests[-1]["messages"][-1]["content"] == "One\ntwo"


def test_settings_are_sent_and_kept(page, mock):
    page.click("#open-settings")
    values = {"temperature": "0.6", "seed": "7", "budget": "128", "system": "Be brief."}
    for name, text in values.items():
        page.find(f"#settings [name={name}]").send_keys(text)
    page.wait("document.querySelectorAll('[name=policy] option').length > 1")
    page.run("document.querySelector('[name=policy]').value = 'snapkv'")
    page.find("#settings [name=api_key]").send_keys("secret")
    page.click("#settings .primary")
    page.ask("Go.")
    page.wait_for_end()
    request = mock.requests[-1]
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    assert request["vase"] == {"policy": "snapkv", "budget": 128}
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (0.6, 7, 400)
    assert "top_p" not in request
    assert "secret" not in page.value("JSON.stringify(localStorage)")
    page.driver.refresh()
    page.click("#open-settings")
    assert page.value("document.querySelector('[name=seed]').value") == "7"
    page.find("#settings [name=seed]").send_keys(Keys.ESCAPE)
    assert not page.value("document.querySelector('#settings').open")


def test_the_policies_are_the_server_s(page, mock):
    page.click("#open-settings")
    page.wait("document.querySelectorAll('[name=policy] option').length > 1")
    options = page.value("[...document.querySelector('[name=policy]').options]"
                         ".map((o) => [o.value, o.disabled, o.parentElement.label ?? ''])")
    assert options == [["", False, ""], ["snapkv", False, ""], ["one-more", False, ""],
                       ["full", True, ""], ["half-of-it", False, "Ablations"]]  # fmt: skip
    page.run("document.querySelector('[name=policy]').value = 'one-more'")
    page.click("#settings .primary")
    page.click("#open-settings")
    assert page.value("document.querySelector('[name=policy]').value") == "one-more"


def test_a_policy_stays_chosen_where_the_list_is_refused(page, mock):
    page.open(settings={"policy": "one-more"})
    mock.key = "secret"
    page.click("#open-settings")
    page.wait("document.querySelector('[name=policy]').value == 'one-more'")
    page.click("#settings .primary")
    assert page.value("JSON.parse(localStorage['vase.settings']).policy") == "one-more"
    mock.key = None  # or the page goes on asking for its status, and being refused
    page.console()  # the refused requests


def test_hostile_text_stays_text(page, mock):
    page.ask("Be hostile: <img src=x onerror=alert(1)>")
    page.wait_for_end()
    assert page.value("document.title") == "vase"
    assert page.count("#messages :is(img, script, b, i, u)") == 0
    assert "<img src=x onerror=" in page.text(".message.assistant .body")
    assert "<b>bold?</b>" in page.text(".thoughts")
    assert page.text(".message.assistant pre code").startswith("<script>")
    assert page.text(".message.user .body").endswith("onerror=alert(1)>")


def test_markdown(page, mock):
    page.ask("Use markdown.")
    page.wait_for_end()
    body = ".message.assistant .body "
    assert page.text(body + "p strong") == "12"
    assert page.text(body + "p code") == "7 + 5"
    assert page.count(body + "> ol > li") == 2
    assert page.count(body + "> ol > li ul > li") == 2
    assert page.text(body + "pre[data-language=python] code") == "print(7 + 5)"
    assert page.text(body + "> :last-child") == "Done."


def expect_complaint(page, status):
    """The browser itself logs refused requests; nothing else may be there."""
    complaints = [entry["message"] for entry in page.console()]
    assert all(f"status of {status}" in complaint for complaint in complaints), complaints


def test_full_queue(page, mock):
    page.ask("Fill the queue.")
    page.wait("document.querySelector('.failure')")
    assert "the queue is full. Try again in 7 s." in page.text(".failure p")
    page.wait("document.querySelector('.failure p').textContent.includes('in 6 s')")
    expect_complaint(page, 429)


def test_missing_key(page, mock):
    mock.key = "secret"
    page.ask("Hello.")
    page.wait("document.querySelector('.failure')")
    assert "asks for an API key" in page.text(".failure p")
    page.click(".failure button")
    assert page.value("document.activeElement.name") == "api_key"
    page.driver.switch_to.active_element.send_keys("secret")
    page.click("#settings .primary")
    page.run("document.querySelectorAll('.failure button')[1].click()")
    assert "token" in page.wait_for_end()
    assert page.count(".message") == 2
    page.wait("document.querySelector('#server').dataset.state === 'idle'")
    expect_complaint(page, 401)


def test_refused_field(page, mock):
    page.open(settings={"budget": 9999})
    page.ask("Hello.")
    page.wait("document.querySelector('.failure')")
    assert "vase.budget: 9999 is above the server's 256." in page.text(".failure p")
    expect_complaint(page, 400)


def test_connection_lost_in_the_middle(page, mock):
    page.ask("It breaks.")
    page.wait("document.querySelector('.failure')")
    assert page.text(".failure p").startswith("The answer broke off")
    assert page.text(".thoughts").startswith("The user asks")
    page.driver.refresh()
    assert page.text(".message.assistant .note").startswith("The answer broke off")


def test_server_gone(page, mock):
    page.run("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    page.ask("Anyone there?")
    page.wait("document.querySelector('.failure')")
    assert "cannot be reached" in page.text(".failure p")
    page.wait("document.querySelector('#server').dataset.state === 'trouble'")
