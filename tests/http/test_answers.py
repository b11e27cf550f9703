from kanal.http.answers import answer, empty, encode, listing


def test_json_is_indented_by_four_like_phps() -> None:
    assert encode({"case": {"case_id": 1, "labels": []}}) == (
        b'{\n    "case": {\n        "case_id": 1,\n        "labels": []\n    }\n}'
    )


def test_the_content_type_ends_in_json() -> None:
    response = answer({}, 201)
    assert response.headers["Content-Type"] == "application/json"
    assert response.status == 201


def test_a_list_is_an_object_of_numbered_entities_and_the_total() -> None:
    assert listing("case", [{"case_id": 7}, {"case_id": 8}], 12) == {
        "0": {"case": {"case_id": 7}},
        "1": {"case": {"case_id": 8}},
        "total_count": 12,
    }


def test_past_the_last_page_there_is_only_the_total() -> None:
    assert listing("case", [], 12) == {"total_count": 12}


def test_a_deletion_answers_200_without_a_body() -> None:
    response = empty()
    assert (response.status, response.body) == (200, b"")
