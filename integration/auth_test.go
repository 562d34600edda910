package integration

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// authService is a world of its own with a node that asks a service who its
// clients are; the test is that service.
func authService(t *testing.T) (*world.World, *harness.Node, *world.Service) {
	t.Helper()
	w := world.Own(t, harness.NATSOptions{})
	s := w.Serve(t, "auth-svcs")
	return w, w.Start(t, "asks", map[string]string{"EDGE_AUTH": "service", "EDGE_HANDSHAKE_TIMEOUT": "30s"}), s
}

// connectPending connects without waiting for a welcome, and sends messages at
// once.
func connectPending(t *testing.T, node *harness.Node, headers string, messages ...string) *harness.Raw {
	t.Helper()
	raw, err := harness.DialRaw(node.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() }) // may be closed already
	request := []byte(harness.HandshakeRequest(node.Addr, "/", headers))
	for _, m := range messages {
		request = append(request, harness.TextFrame(m)...)
	}
	if _, err := raw.Write(request); err != nil {
		t.Fatal(err)
	}
	if response, err := raw.ReadResponse(); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v", err)
	}
	return raw
}

// nextText reads the next text frame.
func nextText(t *testing.T, raw *harness.Raw) message {
	t.Helper()
	for {
		frame, err := raw.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if frame.Opcode == harness.OpText {
			m, err := harness.Parse(frame.Payload)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
}

func answerAuth(t *testing.T, s *world.Service, request *nats.Msg, verdict string) {
	t.Helper()
	s.Respond(request, `{"to":"x:/","frm":"i@auth-svcs:/","mid":"a","bdy":`+verdict+`}`)
}

// R45: what comes before authentication has finished waits, and is processed
// in order, or refused with 4401. S26: bad frames meanwhile are harmless.
func TestMessagesBeforeAuthentication(t *testing.T) {
	t.Parallel()
	w, node, s := authService(t)
	echo := w.Serve(t, world.Unique(t))
	early := func(mid string) string {
		return `{"to":"` + echo.Name + `:/","frm":"client:/","mid":"` + mid + `","bdy":1}`
	}
	raw := connectPending(t, node, harness.HeaderLines("Authorization", "Bearer good"), early("e1"), early("e2"))
	request, asked := s.Next()
	if token := asked.At("bdy", "token"); token != "good" {
		t.Errorf("the service is asked about token %v", token)
	}
	echo.Empty() // nothing goes on before the answer
	answerAuth(t, s, request, `{"identity":"alice","name":"Alice"}`)
	welcome := nextText(t, raw)
	if welcome.Type() != "connection" || welcome.At("bdy", "authResponse") == nil {
		t.Errorf("welcome %s", welcome.Raw)
	}
	for _, mid := range []string{"e1", "e2"} {
		request, m := echo.Next()
		world.Want(t, m, "mid", mid)
		if got := request.Header.Get("Umf-Identity"); got != "alice" {
			t.Errorf("Umf-Identity %q", got)
		}
	}

	refused := connectPending(t, node, harness.HeaderLines("Authorization", "Bearer bad"), early("e3"), `{"not":`, "\x00")
	request, _ = s.Next()
	answerAuth(t, s, request, `{"error":"who are you"}`)
	if code := closeCode(t, refused); code != 4401 && code != 1008 { // the bad frame may end it first
		t.Errorf("closed with %d, want 4401", code)
	}
	plain := connectPending(t, node, "", early("e4"))
	request, _ = s.Next()
	answerAuth(t, s, request, `{"error":"no token"}`)
	if code := closeCode(t, plain); code != 4401 {
		t.Errorf("closed with %d, want 4401", code)
	}
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	echo.Empty()
}

// S6: a resume needs the same identity.
func TestResumeByAnotherIdentity(t *testing.T) {
	t.Parallel()
	w, node, s := authService(t)
	connect := func(identity string) *world.Client {
		type dialed struct {
			c   *harness.Client
			err error
		}
		done := make(chan dialed, 1)
		go func() {
			c, err := harness.Dial(t.Context(), node.URL("/"), harness.DialOptions{})
			done <- dialed{c, err}
		}()
		request, _ := s.Next()
		answerAuth(t, s, request, `{"identity":"`+identity+`"}`)
		d := <-done
		if d.err != nil {
			t.Fatal(d.err)
		}
		t.Cleanup(d.c.Drop)
		return world.Wrap(t, d.c)
	}
	victim, stranger := connect("alice"), connect("mallory")
	answer, err := stranger.Client.Resume(t.Context(), "reconnect", object{"id": victim.ID, "token": victim.Token})
	if err != nil {
		t.Fatal(err)
	}
	if answer.At("bdy", "resumed") != false || answer.At("bdy", "why") != "identity" {
		t.Errorf("answered with %s", answer.Raw)
	}
	w.PushNumbers(t, victim.ID, 0, 2)
	victim.WantBodies(0, 2)
	victim.Fence()
	victim.Drop()
	again := connect("alice")
	answer, err = again.Client.Resume(t.Context(), "reconnect", object{"id": victim.ID})
	if err != nil {
		t.Fatal(err)
	}
	victim.WantResumed(answer)
	again.Fence()
}

// S27: a service that does not answer lets no client in.
func TestAuthenticationServiceIsAway(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "asks", map[string]string{"EDGE_AUTH": "service"})
	if code := closeCode(t, connectPending(t, node, "")); code != 1013 {
		t.Errorf("closed with %d, want 1013: nobody has said no", code)
	}
}

// jwt makes a JSON Web Token (RFC 7519) by hand, as an issuer elsewhere
// would.
func jwt(t *testing.T, secret string, header, claims object) string {
	t.Helper()
	var parts []string
	for _, part := range []object{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join(parts, ".")))
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(mac.Sum(nil))), ".")
}

// asksForTokens is a node that does, and the secret that signs them.
func asksForTokens(t *testing.T, w *world.World, name string) (node *harness.Node, secret string) {
	t.Helper()
	secret = "a-secret-for-tokens-of-the-tests-0123456789"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w.Start(t, name, map[string]string{"EDGE_AUTH": "jwt", "EDGE_AUTH_ALGORITHMS": "HS256", "EDGE_AUTH_KEY_FILE": file}), secret
}

// A token may come in a header, a subprotocol, a cookie or the query. S28: 4401 at
// its expiry.
func TestTokens(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node, secret := asksForTokens(t, w, "tokens")
	header := object{"alg": "HS256", "typ": "JWT"}
	later := time.Now().Add(time.Hour).Unix()
	good := jwt(t, secret, header, object{"sub": "alice", "exp": later})
	s := w.Serve(t, world.Unique(t))
	for name, o := range map[string]harness.DialOptions{
		"header":      {Header: http.Header{"Authorization": {"Bearer " + good}}},
		"subprotocol": {Protocols: []string{"umf.auth." + good, "umf.v1"}},
		"cookie":      {Header: http.Header{"Cookie": {"access_token=" + good}}},
	} {
		c := world.DialWith(t, node.URL("/"), o)
		c.Send(object{"to": s.Name + ":/", "bdy": name})
		request, _ := s.Next()
		if got := request.Header.Get("Umf-Identity"); got != "alice" {
			t.Errorf("%s: Umf-Identity %q", name, got)
		}
	}
	world.DialWith(t, node.URL("/?access_token="+good), harness.DialOptions{}).Fence()

	for name, bad := range map[string]string{
		"none":            "",
		"not a token":     "x.y.z",
		"another secret":  jwt(t, "wrong", header, object{"sub": "alice", "exp": later}),
		"expired":         jwt(t, secret, header, object{"sub": "alice", "exp": time.Now().Add(-time.Hour).Unix()}),
		"algorithm none":  jwt(t, secret, object{"alg": "none"}, object{"sub": "alice", "exp": later}),
		"other algorithm": jwt(t, secret, object{"alg": "HS512"}, object{"sub": "alice", "exp": later}),
		"nobody":          jwt(t, secret, header, object{"exp": later}),
		"another Sub":     jwt(t, secret, header, object{"Sub": "root", "exp": later}),
		"without an end":  jwt(t, secret, header, object{"sub": "alice"}),
		"a later EXP":     jwt(t, secret, header, object{"sub": "alice", "exp": time.Now().Add(-time.Hour).Unix(), "EXP": later}),
		"critical":        jwt(t, secret, object{"alg": "HS256", "crit": []string{"x"}, "x": 1}, object{"sub": "alice", "exp": later}),
		"blanks":          jwt(t, secret, header, object{"sub": " alice", "exp": later}),
	} {
		lines := ""
		if bad != "" {
			lines = harness.HeaderLines("Authorization", "Bearer "+bad)
		}
		if code := closeCode(t, connectPending(t, node, lines)); code != 4401 {
			t.Errorf("%s: closed with %d, want 4401", name, code)
		}
	}

	var short string
	for life := 2 * time.Second; ; life *= 2 {
		short = jwt(t, secret, header, object{"sub": "alice", "exp": time.Now().Add(life).Unix()})
		c, err := harness.Dial(t.Context(), node.URL("/"), harness.DialOptions{Header: http.Header{"Authorization": {"Bearer " + short}}})
		if err != nil {
			if code, _ := harness.CloseCode(err); code == 4401 && life < harness.Patience {
				continue // over before it was there
			}
			t.Fatal(err)
		}
		defer c.Drop()
		if code, reason, err := c.Closed(t.Context()); code != 4401 {
			t.Errorf("at expiry: closed with %d %s, %v, want 4401", code, reason, err)
		}
		break
	}
	// S23: no token in what the node prints.
	if said := string(node.Log.Since(0)); strings.Contains(said, good) || strings.Contains(said, secret) || strings.Contains(said, short) {
		t.Error("a token or the secret is in the log")
	}
}
