package integration

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

var (
	sidPattern  = regexp.MustCompile(`^[a-z2-7]{26}$`)
	nodePattern = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// Hydra: the first message, byte for byte but for what is random.
func TestWelcome(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	if want := []string{"to", "frm", "mid", "ts", "typ", "ver", "bdy"}; !slices.Equal(c.Welcome.Keys, want) {
		t.Errorf("keys %v, want %v", c.Welcome.Keys, want)
	}
	if !sidPattern.MatchString(c.ID) || !nodePattern.MatchString(c.Router) {
		t.Errorf("session id %q, node id %q", c.ID, c.Router)
	}
	world.Want(t, c.Welcome, "to", c.ID+"@client:/", "frm", c.Router+"@hydra-router:/", "typ", "connection", "ver", "UMF/1.4.6")
	if c.Welcome.Mid() == "" {
		t.Error("no mid")
	}
	if _, err := harness.Timestamp(c.Welcome); err != nil {
		t.Error(err)
	}
	if start := `{"id":"` + c.ID + `","ip":"127.0.0.1"`; !strings.HasPrefix(c.Welcome.Body(), start) {
		t.Errorf("body %s, want it to start with %s", c.Welcome.Body(), start)
	}
}

// A client that knows Hydrant finds more in the welcome.
func TestWelcomeExtras(t *testing.T) {
	t.Parallel()
	c := world.DialAcked(t, world.Shared(t).Node(t, "a"))
	if c.Protocol() != harness.AckProtocol {
		t.Errorf("subprotocol %q, want %q", c.Protocol(), harness.AckProtocol)
	}
	var body struct {
		Token string   `json:"token"`
		Caps  []string `json:"caps"`
		TTL   float64  `json:"ttl"`
		HB    float64  `json:"hb"`
		Win   float64  `json:"win"`
	}
	if err := json.Unmarshal([]byte(c.Welcome.Body()), &body); err != nil {
		t.Fatal(err)
	}
	if len(body.Token) < 43 { // 256 bits in base64url
		t.Errorf("token %q is too short for 256 bits", body.Token)
	}
	if !slices.Contains(body.Caps, "resume") || !slices.Contains(body.Caps, "ack") {
		t.Errorf("caps %v", body.Caps)
	}
	if body.TTL != 24*60*60 || body.HB != 25 || body.Win < 1 {
		t.Errorf("ttl %v, hb %v, win %v", body.TTL, body.HB, body.Win)
	}
}

// What is not offered is not chosen. Of other offers the first is, as in the
// original: browsers fail a connection whose offers are all passed over.
func TestSubprotocol(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	if c := world.Dial(t, node); c.Protocol() != "" {
		t.Errorf("subprotocol %q though none was offered", c.Protocol())
	}
	c := world.DialWith(t, node.URL("/"), harness.DialOptions{Protocols: []string{"chat"}})
	if c.Protocol() != "chat" {
		t.Errorf("subprotocol %q, want the first offer", c.Protocol())
	}
	c = world.DialWith(t, node.URL("/"), harness.DialOptions{Protocols: []string{"umf.auth.secret", "chat", "umf.v1"}})
	if c.Protocol() != "umf.v1" { // a token would stand in the answer
		t.Errorf("subprotocol %q, want umf.v1", c.Protocol())
	}
	world.Want(t, c.Call(object{"to": "nosuch:[GET]/", "bdy": 1}), "typ", "error")
}

// Hydra: any URL path connects, also one that HTTP knows.
func TestAnyPathConnects(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	for _, path := range []string{"/", "/socket", "/a/b/c.d?x=1&y=%20", "/v1/router/version"} {
		c := world.DialWith(t, node.URL(path), harness.DialOptions{})
		c.Quiet()
	}
}

func TestSessionIDsAreDistinct(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	seen := make(map[string]bool)
	for range 20 {
		c := world.Dial(t, w.Node(t, "a"))
		if seen[c.ID] || seen[c.Token] {
			t.Fatalf("id %s or its token was given twice", c.ID)
		}
		seen[c.ID], seen[c.Token] = true, true
	}
}

// S22: the client's address cannot be claimed by a peer that nobody trusts.
func TestForwardedForOfUntrustedPeerIsIgnored(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Forwarded-For": {"203.0.113.7"}}
	c := world.DialWith(t, world.Shared(t).Node(t, "a").URL("/"), harness.DialOptions{Header: header})
	if ip := c.Welcome.At("bdy", "ip"); ip != "127.0.0.1" {
		t.Errorf("ip %v, taken from a header that anyone can send", ip)
	}
}

func TestForwardedForOfTrustedPeer(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "tuned")
	for header, ip := range map[string]string{
		"203.0.113.7":               "203.0.113.7",
		"198.51.100.9, 203.0.113.7": "203.0.113.7", // the first one is the client's word
		"203.0.113.7, 127.0.0.5":    "203.0.113.7", // a trusted proxy before the last
		"nonsense":                  "127.0.0.1",
	} {
		c := world.DialWith(t, node.URL("/"), harness.DialOptions{Header: http.Header{"X-Forwarded-For": {header}}})
		if got := c.Welcome.At("bdy", "ip"); got != ip {
			t.Errorf("X-Forwarded-For %q: ip %v, want %s", header, got, ip)
		}
	}
}

// S22: a PROXY line from a peer that nobody trusts is not HTTP.
func TestProxyLineOfUntrustedPeerIsRefused(t *testing.T) {
	t.Parallel()
	node := world.Shared(t).Node(t, "a")
	raw, err := harness.DialRaw(node.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	line := "PROXY TCP4 203.0.113.7 127.0.0.1 1234 80\r\n"
	if _, err := raw.Write([]byte(line + harness.HandshakeRequest(node.Addr, "/", ""))); err != nil {
		t.Fatal(err)
	}
	if response, err := raw.ReadResponse(); err == nil && response.StatusCode == http.StatusSwitchingProtocols {
		t.Error("a connection with a PROXY line was upgraded")
	}
}

// S1: refused before the upgrade.
func TestOrigin(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	a, tuned := w.Node(t, "a"), w.Node(t, "tuned")
	for _, test := range []struct {
		node    *harness.Node
		origin  string
		allowed bool
	}{
		{a, "", true},
		{a, "http://" + a.Addr, true},
		{a, "https://evil.example", false},
		{a, "https://app.example", false},
		{a, "http://" + a.Addr + ".evil.example", false},
		{a, "null", false},
		{a, "ftp://" + a.Addr, false},
		{a, "http://" + a.Addr + "|https://evil.example", false}, // two fields
		{a, "https://evil.example|http://" + a.Addr, false},
		{a, "|https://evil.example", false},
		{tuned, "https://app.example|https://app.example", false},
		{tuned, "https://app.example", true},
		{tuned, "http://app.example", false},
		{tuned, "https://app.example.evil.example", false},
	} {
		header := http.Header{}
		if test.origin != "" {
			header["Origin"] = strings.Split(test.origin, "|")
		}
		c, err := harness.Dial(t.Context(), test.node.URL("/"), harness.DialOptions{Header: header})
		if err == nil {
			c.Drop()
		}
		var refused *harness.Refused
		switch {
		case test.allowed && err != nil:
			t.Errorf("origin %q: %v", test.origin, err)
		case !test.allowed && err == nil:
			t.Errorf("origin %q was let in", test.origin)
		case !test.allowed && (!errors.As(err, &refused) || refused.Status != http.StatusForbidden):
			t.Errorf("origin %q: %v, want status 403", test.origin, err)
		}
	}
}

// R44: frames that come in the same segment as the handshake.
func TestFramesInTheSegmentOfTheHandshake(t *testing.T) {
	t.Parallel()
	raw, err := harness.DialRaw(world.Shared(t).Node(t, "a").Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	ping := `{"to":"hydra-router:/","frm":"early@client:/","mid":"early-1","typ":"ping","bdy":{}}`
	if err := raw.Upgrade(harness.TextFrame(ping), harness.TextFrame(strings.Replace(ping, "early-1", "early-2", 1))); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 3 {
		frame, err := raw.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		m, err := harness.Parse(frame.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Type()+m.Rmid())
	}
	if want := []string{"connection", "pongearly-1", "pongearly-2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// RFC 6455 §5.5.2 and §7.1: keepalive and goodbye.
func TestPingAndClose(t *testing.T) {
	t.Parallel()
	raw, err := harness.DialRaw(world.Shared(t).Node(t, "a").Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.Upgrade(harness.AppendFrame(nil, harness.OpPing, []byte("are you there"))); err != nil {
		t.Fatal(err)
	}
	next := func(opcode byte) harness.Frame {
		for {
			frame, err := raw.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if frame.Opcode == opcode {
				return frame
			}
		}
	}
	if pong := next(harness.OpPong); string(pong.Payload) != "are you there" {
		t.Errorf("pong %q", pong.Payload)
	}
	if _, err := raw.Write(harness.AppendFrame(nil, harness.OpClose, []byte{0x03, 0xe8})); err != nil {
		t.Fatal(err)
	}
	if code, _ := next(harness.OpClose).CloseCode(); code != 1000 {
		t.Errorf("close answered with %d, want 1000", code)
	}
	if _, err := raw.ReadFrame(); err == nil {
		t.Error("the server does not end the connection after the close handshake")
	}
}
