package edge

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/stats"
	"hydrant/integration/harness"
)

// issuer has a key, tells it while it is up, and signs tokens.
type issuer struct {
	*httptest.Server
	key ed25519.PrivateKey
	up  atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.up.Store(true)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !i.up.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, i.set())
	}))
	t.Cleanup(i.Close)
	return i
}

// set is what it tells of its key.
func (i *issuer) set() string {
	return fmt.Sprintf(`{"keys":[{"kid":"odd"},{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(i.key.Public().(ed25519.PublicKey)))
}

// token is one of a user, for an hour.
func (i *issuer) token(t *testing.T, user string) string { return i.tokenBy(t, "k", user) }

// tokenBy says that it was signed by the key of a name.
func (i *issuer) tokenBy(t *testing.T, kid, user string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"] = kid
	text, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// knock asks for an upgrade, and returns the status of the answer with what stands in
// its body and when to come back.
func knock(t *testing.T, url string, header http.Header) (status int, body, after string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(url, "ws://", "http://", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer.StatusCode, answer.Header.Get("Sec-WebSocket-Protocol"), ""
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header.Get("Retry-After")
}

// TestNodeWithoutKeys: a node without keys is not ready, and no client is told that it
// may not connect. Keys that another node has read let a node begin.
func TestNodeWithoutKeys(t *testing.T) {
	t.Parallel()
	i, nats := newIssuer(t), startNATS(t).URL()
	settings := func(cfg *Config) { cfg.Auth, cfg.AuthJwksUrl = config.AuthJWT, i.URL }
	bearer := http.Header{"Authorization": {"Bearer " + i.token(t, "ann")}}
	until := func(condition func() error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		if err := harness.Until(ctx, condition); err != nil {
			t.Fatal(err)
		}
	}
	letsIn := func(url string) {
		t.Helper()
		until(func() error {
			c, err := harness.Dial(t.Context(), url, harness.DialOptions{Header: bearer})
			if err == nil {
				c.Drop()
			}
			return err
		})
	}

	i.up.Store(false)
	first, url := begin(t, nats, settings)
	until(func() error {
		if _, reasons := first.ready.reasons(true); len(reasons) != 1 || !strings.HasPrefix(reasons[0], "keys: EDGE_AUTH_JWKS_URL: ") {
			return fmt.Errorf("waits for %q", reasons)
		}
		return nil
	})
	for _, header := range []http.Header{bearer, {"Authorization": {"Bearer x.y.z"}}, {}} {
		if status, _, after := knock(t, url, header); status != http.StatusServiceUnavailable || after != "1" {
			t.Errorf("%v is answered with %d, and to come back after %q s", header, status, after)
		}
	}
	i.up.Store(true)
	letsIn(url)
	if first.ready.waits(stats.PartKeys) {
		t.Error("it waits for keys, and lets clients in")
	}
	until(func() error {
		text, err := first.nats.link.Load().directory.KeptKeys(t.Context(), i.URL)
		if err == nil && !strings.Contains(string(text), `"k"`) {
			t.Fatalf("%s is kept", text)
		}
		return err
	})

	// It is some time ago that they were read.
	i.up.Store(false)
	text, err := json.Marshal(keptSet{time.Now().Add(-10 * time.Minute), []byte(i.set())})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.nats.link.Load().directory.KeepKeys(t.Context(), i.URL, text); err != nil {
		t.Fatal(err)
	}
	second, url := begin(t, nats, settings)
	letsIn(url)
	if age := second.keysAge(); age < 10*time.Minute {
		t.Errorf("keys of age %v", age)
	}
	// A key that nobody could tell of since is no reason to log its bearer out; what is
	// no token at all is one.
	if status, _, after := knock(t, url, http.Header{"Authorization": {"Bearer " + newIssuer(t).tokenBy(t, "new", "ann")}}); status != http.StatusServiceUnavailable || after != "1" {
		t.Errorf("a key that cannot be known is answered with %d, and to come back after %q s", status, after)
	}
	c, err := harness.Dial(t.Context(), url, harness.DialOptions{Header: http.Header{"Authorization": {"Bearer x.y.z"}}})
	if err == nil {
		c.Drop()
	}
	if code, _ := harness.CloseCode(err); code != 4401 {
		t.Errorf("no token ends with %v", err)
	}
}

// TestBeginsWithoutKeys: a node is not ready before it has tried to read its keys.
func TestBeginsWithoutKeys(t *testing.T) {
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Auth, cfg.AuthJwksUrl = config.AuthJWT, "https://provider.example/keys"
	n, err := New(cfg, bus.Config{}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.release()
	if !n.ready.waits(stats.PartKeys) {
		t.Error("it does not wait for keys")
	}
}

// TestTokenIsNotEchoed: a subprotocol that carries a token is never selected.
func TestTokenIsNotEchoed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	_, url := begin(t, startNATS(t).URL(), func(cfg *Config) { cfg.Auth, cfg.AuthJwksUrl = config.AuthJWT, i.URL })
	token := "umf.auth." + i.token(t, "ann")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for _, test := range []struct {
		offered string
		status  int
		chosen  string
	}{
		{token + ", umf.v1", http.StatusSwitchingProtocols, "umf.v1"},
		{"umf.ack.v1, " + token, http.StatusSwitchingProtocols, "umf.ack.v1"},
		{token + ", chat", http.StatusSwitchingProtocols, "chat"},
		{token, http.StatusBadRequest, ""},
		{strings.ToUpper(token[:9]) + token[9:], http.StatusBadRequest, ""},
	} {
		var status int
		var body string
		if err := harness.Until(ctx, func() error { // until there are keys
			if status, body, _ = knock(t, url, http.Header{"Sec-Websocket-Protocol": {test.offered}}); status == http.StatusServiceUnavailable {
				return errNotYet
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		switch {
		case status != test.status, strings.Contains(body, token[9:]):
			t.Errorf("%.12s: %d %s", test.offered, status, body)
		case status == http.StatusBadRequest && !strings.Contains(body, "umf.v1"):
			t.Errorf("%.12s: the answer does not say what to do: %s", test.offered, body)
		case status == http.StatusSwitchingProtocols && body != test.chosen:
			t.Errorf("%.12s: %q is selected", test.offered, body)
		}
	}
}
