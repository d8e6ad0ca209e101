// Calls a router with OpenAI's client for Node.js and prints what each call gave, as one JSON object.
// Arguments: the URL of the installed module, the base URL, a word that no other run has.

const [module, baseURL, key] = process.argv.slice(2);
const { OpenAI } = await import(module);

// The statuses that the client got in one call, its own retries included.
let statuses = [];
const counting = async (url, options) => {
  const reply = await fetch(url, options);
  statuses.push(reply.status);
  return reply;
};
const client = new OpenAI({ apiKey: "unused", baseURL, fetch: counting });
const ask = (content, more = {}, options = {}) =>
  client.chat.completions.create({ model: "skyfleet", messages: [{ role: "user", content }], ...more }, options);

const place = { type: "object", properties: { place: { type: "string" } }, required: ["place"], additionalProperties: false };
const tool = { type: "function", function: { name: "weather", parameters: place } };
const images = [
  { type: "text", text: "compare" },
  { type: "image_url", image_url: { url: "data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=", detail: "low" } },
  { type: "image_url", image_url: { url: "https://example.com/a.png" } },
];

const streamed = async (content, more = {}) => {
  const texts = {};
  let usage = null;
  for await (const chunk of await ask(content, { stream: true, stream_options: { include_usage: true }, ...more })) {
    usage = chunk.usage ?? usage;
    for (const { index, delta } of chunk.choices) texts[index] = (texts[index] ?? "") + (delta.content ?? "");
  }
  return { texts: Object.values(texts).map((text) => text.trim()), usage };
};

const failure = async (call) => {
  statuses = [];
  try {
    await call();
  } catch (error) {
    const { status, code, param, type, message } = error;
    return { name: error.constructor.name, status, code, param, type, message, statuses };
  }
  return null;
};

const retried = async (status) => {
  statuses = [];
  const began = performance.now();
  const reply = await ask(`status ${status} ${key}`);
  return { text: reply.choices[0].message.content, statuses, seconds: (performance.now() - began) / 1000 };
};

const called = async () => {
  const messages = [{ role: "user", content: "weather Rome, Oslo" }];
  const given = { model: "skyfleet", tools: [tool] };
  const first = (await client.chat.completions.create({ ...given, messages })).choices[0];
  messages.push(first.message);
  for (const { id, function: { arguments: json } } of first.message.tool_calls) {
    messages.push({ role: "tool", tool_call_id: id, content: `sun in ${JSON.parse(json).place}` });
  }
  const last = (await client.chat.completions.create({ ...given, messages })).choices[0];
  return { reason: first.finish_reason, text: last.message.content };
};

// The client's own helpers: one puts a stream together, the other calls the functions too.
const helped = async () => {
  const messages = [{ role: "user", content: "weather Rome, Oslo" }];
  const stream = client.chat.completions.stream({ model: "skyfleet", messages, tools: [tool] });
  const calls = (await stream.finalMessage()).tool_calls;
  const weather = { ...tool.function, function: (given) => `rain in ${given.place}`, parse: JSON.parse };
  const runner = client.chat.completions.runTools({ model: "skyfleet", messages, tools: [{ type: "function", function: weather }] });
  return { arguments: calls.map((call) => call.function.arguments), text: await runner.finalContent() };
};

const whole = await ask("hello there");
const results = {
  whole: { text: whole.choices[0].message.content, usage: whole.usage },
  streamed: await streamed("hello there"),
  models: (await client.models.list()).data.map((model) => model.id),
  choices: (await ask("hi", { n: 3 })).choices.map((choice) => [choice.index, choice.message.content]),
  choicesStreamed: (await streamed("hi", { n: 3 })).texts,
  images: JSON.parse((await ask(images)).choices[0].message.content),
  json: JSON.parse((await ask("hi", { response_format: { type: "json_object" } })).choices[0].message.content),
  called: await called(),
  helped: await helped(),
  retried429: await retried(429),
  retried503: await retried(503),
  badParameter: await failure(() => ask("hi", { n: 0 })),
  badImage: await failure(() => ask([{ type: "image_url", image_url: {} }])),
  refused: await failure(() => ask("refuse")),
  notFound: await failure(() => client.models.retrieve("gpt-none")),
  brokenOff: await failure(() => streamed("break off")),
  late: await failure(() => ask("silent", {}, { maxRetries: 0, headers: { "x-skyfleet-timeout-ms": "700" } })),
};
console.log(JSON.stringify(results));
