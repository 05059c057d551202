// Writes prices.json and prices.LICENSE from the npm package @pydantic/genai-prices: go generate ./agents
//
// A row is a name that a provider's model may have; one that ends in * stands for all that begin so. What the file says
// is never less than what the source says may be paid:
//   - of several prices for one thing, by date or by the time of the day, the dearest that holds at the source's date or
//     later;
//   - input is text or images, whichever is dearer; output is text or thoughts;
//   - a tier, for requests with more tokens of input, is kept as long, above.
// Rules of the source that are neither names nor prefixes are left out, save that a name within others is taken for a
// prefix; a date behind a name is left to the reader. So are models that answer with anything but text.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const name = '@pydantic/genai-prices'
const providers = {
  openai: 'openai', anthropic: 'anthropic', azure: 'azure', gemini: 'google', mistral: 'mistral', groq: 'groq',
  deepseek: 'deepseek', openrouter: 'openrouter', together: 'together',
}
const notText = /audio|realtime|image|transcribe|embed|moderation|whisper|lyria|\blive\b|\bocr\b/

const folder = mkdtempSync(join(tmpdir(), 'prices-'))
try {
  const npm = (...args) => execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  execFileSync('tar', ['xzf', npm('pack', '--silent', name).trim()], { cwd: folder })
  const source = join(folder, 'package')
  const { version, license } = JSON.parse(readFileSync(join(source, 'package.json')))
  const date = JSON.parse(npm('view', name, 'time', '--json'))[version].slice(0, 10)
  const { findProvider } = createRequire(import.meta.url)(source)
  const rows = Object.entries(providers).flatMap(([ours, theirs]) => rowsOf(ours, findProvider({ providerId: theirs }), date))
  const lines = rows.map(([ref, price]) => `${JSON.stringify(ref)}: ${spaced(price)}`)
  lines.unshift(`"source": ${JSON.stringify(`npm package ${name} ${version} of ${date}, ${license} licence`)}`)
  writeFileSync('prices.json', `{\n${lines.join(',\n')}\n}\n`)
  copyFileSync(join(source, 'LICENSE'), 'prices.LICENSE')
} finally {
  rmSync(folder, { recursive: true })
}

function rowsOf(ours, provider, date) {
  const rows = new Map()
  const without = []
  for (const model of provider.models) {
    if (ours === 'gemini' && !model.id.startsWith('gem')) continue // what Google sells of others elsewhere
    const names = namesOf(model.match)
    const price = notText.test(model.id) ? undefined : priceOf(model, date)
    if (!price) {
      without.push(...names)
      continue
    }
    for (const n of names) if (!rows.has(n)) rows.set(n, price) // the first that matches counts
  }
  for (const n of without) {
    rows.delete(n)
    const [other] = [...rows.keys()].filter((r) => r.endsWith('*') && n.startsWith(r.slice(0, -1)))
    if (other) throw new Error(`${ours}/${n} has no price, and would get that of ${other}`)
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([n, price]) => [`${ours}/${n}`, price])
}

function namesOf(match) {
  const [[rule, value]] = Object.entries(match)
  switch (rule) {
    case 'or': return value.flatMap(namesOf)
    case 'and': return value.flatMap(namesOf).slice(0, 1)
    case 'equals': case 'ends_with': return [value.toLowerCase()]
    case 'starts_with': case 'contains': return [value.toLowerCase() + '*']
  }
  return []
}

function priceOf(model, date) {
  const may = []
  for (const { constraint, prices } of [model.prices].flat().map((p) => (p.prices ? p : { prices: p })).reverse()) {
    if (Object.keys(prices).some((k) => /^output_(audio|image|video)/.test(k))) return undefined
    may.push(prices)
    if (!constraint || constraint.start_date <= date) break
  }
  const start = Math.min(...may.flatMap((p) => Object.values(p)).flatMap((v) => v.tiers ?? []).map((t) => t.start))
  const price = dearest(may, (v) => v.base ?? v)
  if (!price || start === Infinity) return price
  return { ...price, above: start, long: dearest(may, (v) => Math.max(v.base ?? v, ...(v.tiers ?? []).map((t) => t.price))) }
}

function dearest(may, amount) {
  if (may.some((p) => Object.keys(p).length === 0)) return { input: 0, output: 0 } // the source says that it is free
  const top = (p, ...keys) => Math.max(...keys.filter((k) => k in p).map((k) => amount(p[k])))
  const most = (of) => Math.max(...may.map(of))
  const input = most((p) => top(p, 'input_mtok', 'input_image_mtok'))
  const output = most((p) => top(p, 'output_mtok', 'output_reasoning_mtok'))
  const cached = most((p) => ('cache_read_mtok' in p ? top(p, 'cache_read_mtok') : input))
  const written = most((p) => ('cache_write_mtok' in p ? top(p, 'cache_write_mtok') : input))
  if (!Number.isFinite(input) || !Number.isFinite(output)) return undefined
  const price = { input, output }
  if (cached !== input && cached > 0) price.cached = cached
  if (written > input) price.written = written // less is a fee on top of the input's
  return price
}

// spaced is JSON on one line as people write it.
function spaced(v) {
  if (typeof v !== 'object') return JSON.stringify(v)
  return `{${Object.entries(v).map(([k, x]) => `${JSON.stringify(k)}: ${spaced(x)}`).join(', ')}}`
}
