// A real OpenID provider (oidc-provider) for the tests of sign-in: people with a password, some with a one-time code as a second factor, and a
// program. In memory, with TLS, on loopback. Prints one line of JSON with its issuer when it listens; ends with its standard input.
//
// Usage: node provider.mjs MODULES CERT KEY REDIRECT LOGOUT AUDIENCE
//   MODULES   the folder that holds node_modules
//   CERT KEY  its certificate for 127.0.0.1 and the key of it, PEM
//   REDIRECT  the portal's callback
//   LOGOUT    where the portal hears that somebody signed out here
//   AUDIENCE  the portal, as programs name it
//
// GET /hands?NAME=VALUE stands for somebody on the browser's way: the next question has this member instead of its own, or, if VALUE is empty,
// none. The field `ago` of the form says how many seconds ago the person proved themselves.
import { createRequire } from 'node:module';
import { createServer } from 'node:https';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, cert, secret, redirect, logout, audience] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

// Whom it knows: password, one-time code (none: no second factor), groups.
const PEOPLE = {
  carol: { password: 'carol-pw', code: '314159', groups: ['idp-leaders', 'idp-everybody'] },
  dave: { password: 'dave-pw', code: null, groups: ['idp-leaders'] },
  mallory: { password: 'mallory-pw', code: '271828', groups: ['idp-leaders'] },
};

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const server = createServer({ cert: readFileSync(cert), key: readFileSync(secret) });
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `https://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'kcm-portal',
      client_secret: 'portal-secret',
      redirect_uris: [redirect],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
      backchannel_logout_uri: logout,
      backchannel_logout_session_required: true,
    },
    {
      client_id: 'ci',
      client_secret: 'ci-secret',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [{ ...key, use: 'sig', alg: 'ES256', kid: 'signs' }] },
  pkce: { required: () => true },
  scopes: ['openid', 'groups'],
  claims: { openid: ['sub', 'acr', 'amr', 'auth_time'], groups: ['groups'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['only-for-tests'] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  // The test's programs ask from inside a page of the provider's own.
  clientBasedCORS: () => true,
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => { ctx.body = `${form}<button id="out" form="op.logoutForm" name="logout" value="yes">Sign out</button>`; },
    },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: () => ({ scope: '', audience, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } } }),
    },
  },
  findAccount: (_ctx, id) => (PEOPLE[id] ? { accountId: id, claims: () => ({ sub: id, groups: PEOPLE[id].groups }) } : undefined),
  // Nobody is asked whether the portal may know who they are.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid groups');
    await grant.save();
    return grant;
  },
  // By itself it speaks to no loopback address, where the portal of the test is.
  fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
});

const body = async (request) => {
  let text = '';
  for await (const piece of request) text += piece;
  return new URLSearchParams(text);
};

const FORM = `<!doctype html><title>Sign in</title><form method="post"><input id="user" name="user"><input id="password" name="password">
<input id="code" name="code"><input id="ago" name="ago" value="0"><button id="go">Sign in</button></form>`;
const page = (response, html) => response.writeHead(200, { 'content-type': 'text/html' }).end(html);

let hands = null;
const callback = provider.callback();

/** The person of a form comes in, as strongly as they showed. */
async function enter(request, response) {
  const form = await body(request);
  const person = PEOPLE[form.get('user')];
  if (!person || person.password !== form.get('password')) return response.writeHead(403).end();
  const strong = person.code !== null && person.code === form.get('code');
  const login = {
    accountId: form.get('user'),
    acr: strong ? 'urn:kcm:mfa' : 'urn:kcm:pwd',
    amr: strong ? ['pwd', 'otp', 'mfa'] : ['pwd'],
    ts: Math.floor(Date.now() / 1000) - Number(form.get('ago')),
  };
  return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
}

server.on('request', async (request, response) => {
  try {
    const url = new URL(request.url, issuer);
    if (url.pathname === '/hands') {
      hands = url.searchParams;
      return page(response, 'ready');
    }
    if (url.pathname.startsWith('/interaction/')) return request.method === 'GET' ? page(response, FORM) : await enter(request, response);
    if (url.pathname === '/auth' && hands !== null) {
      for (const [name, value] of hands) value === '' ? url.searchParams.delete(name) : url.searchParams.set(name, value);
      hands = null;
      request.url = url.pathname + url.search;
    }
    return callback(request, response);
  } catch (error) {
    console.error(error);
    return response.writeHead(500).end();
  }
});
provider.on('server_error', (_ctx, error) => console.error(error));
provider.on('backchannel.error', (_ctx, error) => console.error('backchannel', error, error.cause));

console.log(JSON.stringify({ issuer }));
// Nobody reads on after that line: what else is said goes to the other stream.
console.log = console.info = console.error;
process.stdin.on('end', () => process.exit(0)).resume();
