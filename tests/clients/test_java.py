"""Java's own HttpClient, which offers HTTP/2 with every request on a connection that it has not used yet."""

import json
import subprocess
from pathlib import Path

from support.service_process import StartService
from support.tiny_checkpoints import write_tiny

PROGRAM = """
import java.net.URI;
import java.net.http.*;

public class Ask {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        for (var method : new String[] {"POST", "GET"}) {
            var body = method.equals("POST")
                ? HttpRequest.BodyPublishers.ofString("{\\"latents\\": [[0, 0, 0, 0]]}")
                : HttpRequest.BodyPublishers.noBody();
            var path = method.equals("POST") ? "/decode" : "/models";
            var request = HttpRequest.newBuilder(URI.create(arguments[0] + path))
                .header("content-type", "application/json").method(method, body).build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
        }
    }
}
"""


def test_its_requests_are_answered(tmp_path: Path, start_service: StartService, java: str):
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("decode",))
    (tmp_path / "Ask.java").write_text(PROGRAM)
    asked = subprocess.run(
        [java, tmp_path / "Ask.java", start_service().url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    posted, listed = asked.stdout.splitlines()
    assert posted.startswith("200 HTTP_1_1 ")
    assert json.loads(posted.split(" ", 2)[2])["model"] == "tiny"
    assert listed.startswith("200 HTTP_1_1 ")
