// node-routeros, driven line by line; see driver.py.
// It reads and writes Windows-1252, whatever the other side does: text is given to it as UTF-8 that looks like that.
const readline = require("readline");
const { RouterOSAPI } = require("node-routeros");
const iconv = require("iconv-lite");

const seen = (text) => iconv.decode(Buffer.from(text, "utf8"), "win1252");
const meant = (text) => iconv.encode(text, "win1252").toString("utf8");
const row = (found) => Object.fromEntries(Object.entries(found).map(([name, value]) => [name, meant(value)]));

let connection;
const rows = [];
let waiting = () => {};

const client = {
  async connect({ port, user, password, tls }) {
    connection = new RouterOSAPI({
      host: "127.0.0.1", port, user, password, timeout: 10, tls: tls ? { rejectUnauthorized: false } : undefined,
    });
    connection.on("error", () => {});
    await connection.connect();
  },
  async run({ command, arguments: given, queries }) {
    const words = Object.entries(given).map(([name, value]) => `=${name}=${value}`);
    return (await connection.write(command, [...words, ...queries].map(seen))).map(row);
  },
  // On the same connection: its commands have tags.
  async listen({ command }) {
    connection.stream(command, (error, found) => {
      if (!error) { rows.push(row(found)); waiting(); }
    });
  },
  async heard({ count }) {
    while (rows.length < count) await new Promise((resolve) => { waiting = resolve; });
    return rows.splice(0, count);
  },
};

const input = readline.createInterface({ input: process.stdin });
input.on("line", async (line) => {
  const { do: verb, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await client[verb](rest)) ?? null };
  } catch (error) {
    answer = { trap: error.message || String(error) };
  }
  console.log(JSON.stringify(answer));
});
input.on("close", () => process.exit(0));
