// Verifies messages as a JavaScript receiver does. Standard input: one JSON object a line,
// {"secret", "headers", "body"}; output: a line for each, {"payload"} or {"error"}.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ payload: new Webhook(secret).verify(body, headers) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
