package access

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is an identity provider: its keys, and how it answers.
type provider struct {
	mu      sync.Mutex
	keys    map[string]ed25519.PrivateKey // by kid
	more    string                        // further keys of the set, as JSON
	text    string                        // the answer instead of the set
	status  int                           // of the answer
	silent  chan struct{}                 // not nil: the answer comes when it is closed
	asked   int
	failed  []error
	skipped []string
	read    []time.Time
}

// RoundTrip implements [http.RoundTripper].
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked++
	text, status, silent := p.text, p.status, p.silent
	if text == "" {
		list := []string{p.more}
		for kid, key := range p.keys {
			list = append(list, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":%q,"x":%q}`, kid, base64URL(key.Public().(ed25519.PublicKey))))
		}
		text = `{"keys":[` + strings.Trim(strings.Join(list, ","), ",") + `]}`
	}
	p.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if status == 0 {
		return nil, errors.New("nobody listens")
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// change lets the provider be otherwise.
func (p *provider) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// key adds a key and returns a token that it has signed.
func (p *provider) key(t *testing.T, kid string) (token string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.change(func() { p.keys[kid] = key })
	return forge(t, key, fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid), `{"sub":"ann","exp":4000000000}`)
}

// watch returns a provider, and the check of tokens with its keys, which are read
// every minute. The time is the bubble's.
func watch(t *testing.T, status int) (*provider, *KeySet, func(token string) error) {
	p := &provider{keys: make(map[string]ed25519.PrivateKey), status: status}
	s := NewKeySet(KeySetOptions{
		Address: "https://user:pass@provider.example/keys?key=hidden", Every: time.Minute,
		Failed:  func(err error) { p.change(func() { p.failed = append(p.failed, err) }) },
		Skipped: func(kid string, _ error) { p.change(func() { p.skipped = append(p.skipped, kid) }) },
		Read:    func(_ []byte, at time.Time) { p.change(func() { p.read = append(p.read, at) }) },
	})
	s.client.Transport = p
	tokens := NewTokens(s.Find, TokenOptions{Algorithms: []string{"EdDSA"}})
	return p, s, func(token string) error {
		_, err := tokens.Check(token)
		return err
	}
}

// heard is what the provider was asked, and what was told of it, so far.
func (p *provider) heard() (asked int, failed []error, skipped []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, slices.Clone(p.failed), slices.Clone(p.skipped)
}

// refusedFor reports whether a check is a no, and no word about the check itself.
func refusedFor(err error) bool { return err != nil && !errors.Is(err, ErrUnchecked) }

// TestRotation: a key that is added counts, and one that is withdrawn does not any
// more, whatever else is in the set.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, check := watch(t, http.StatusOK)
		old := p.key(t, "old")
		go s.Watch(t.Context())
		synctest.Wait()
		if err := check(old); err != nil {
			t.Fatal(err)
		}
		next := p.key(t, "next")
		p.change(func() {
			delete(p.keys, "old")
			p.more = `{"kty":"RSA","kid":"odd"},{"kty":"RSA","kid":"odd"},{"kid":"none"}`
		})
		time.Sleep(time.Minute + time.Second)
		if err := check(next); err != nil {
			t.Errorf("the new key: %v", err)
		}
		if err := check(old); !refusedFor(err) {
			t.Errorf("the withdrawn key: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if _, _, skipped := p.heard(); fmt.Sprint(skipped) != "[odd none]" {
			t.Errorf("told of %s, once each is right", skipped)
		}
	})
}

// TestNewKeyIsAskedFor: a token that names a key that is not there yet is no word
// against its bearer until the set was read again, which is soon, but not often.
func TestNewKeyIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, check := watch(t, http.StatusOK)
		p.key(t, "a")
		stranger := p.key(t, "b")
		p.change(func() { delete(p.keys, "b") })
		go s.Watch(t.Context())
		time.Sleep(time.Second)
		if err := check(stranger); !refusedFor(err) {
			t.Errorf("shortly after a reading: %v", err)
		}
		time.Sleep(20 * time.Second)
		fresh := p.key(t, "c")
		if err := check(fresh); !errors.Is(err, ErrUnchecked) {
			t.Errorf("long after a reading: %v", err)
		}
		time.Sleep(time.Second)
		if err := check(fresh); err != nil {
			t.Errorf("once the set was read: %v", err)
		}
		before, _, _ := p.heard()
		for range 600 { // a minute of a client that makes keys up
			if err := check(stranger); err == nil {
				t.Fatal("it is taken")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if after, _, _ := p.heard(); after-before > 12 {
			t.Errorf("the provider was asked %d times in a minute", after-before)
		}
	})
}

// TestChecksDoNotWait: loops check tokens, so no client may make a check wait for the
// server of the keys by naming one that is not there.
func TestChecksDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, check := watch(t, http.StatusOK)
		known := p.key(t, "a")
		go s.Watch(t.Context())
		synctest.Wait()
		p.change(func() { p.silent = make(chan struct{}) })
		time.Sleep(time.Minute)
		stranger := p.key(t, "b")
		before := time.Now()
		for _, token := range []string{stranger, stranger, known} {
			if err := check(token); (err == nil) != (token == known) {
				t.Errorf("token %.30s…: %v", token, err)
			}
		}
		if d := time.Since(before); d != 0 {
			t.Errorf("the checks waited for %v", d)
		}
	})
}

// TestProviderIsAway: keys of before go on to count; a key that is not among them is
// no word against its bearer.
func TestProviderIsAway(t *testing.T) {
	for name, outage := range map[string]func(*provider){
		"nobody listens": func(p *provider) { p.status = 0 },
		"an error":       func(p *provider) { p.status = http.StatusInternalServerError },
		"not found":      func(p *provider) { p.status = http.StatusNotFound },
		"nothing new":    func(p *provider) { p.status = http.StatusNotModified },
		"a page":         func(p *provider) { p.text = "<html>maintenance</html>" },
		"no set":         func(p *provider) { p.text = `{"error":"maintenance"}` },
		"half a set":     func(p *provider) { p.text = `{"keys":[` },
		"without an end": func(p *provider) { p.text = `{"keys":[` + strings.Repeat(" ", maxSet) + `]}` },
		"it is silent":   func(p *provider) { p.silent = make(chan struct{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, s, check := watch(t, http.StatusOK)
				known := p.key(t, "a")
				go s.Watch(t.Context())
				synctest.Wait()
				stranger := p.key(t, "b")
				p.change(func() { outage(p) })
				time.Sleep(10 * time.Minute)
				if err := check(known); err != nil {
					t.Errorf("a key of before: %v", err)
				}
				if _, failed, _ := p.heard(); len(failed) == 0 || strings.Contains(fmt.Sprint(failed), "provider.example") || strings.Contains(fmt.Sprint(failed), "hidden") {
					t.Errorf("told: %v", failed)
				}
				if err := check(stranger); !errors.Is(err, ErrUnchecked) {
					t.Errorf("a key that cannot be known: %v", err)
				}
				if _, failed, _ := p.heard(); s.Age() < 10*time.Minute || len(failed) == 0 {
					t.Errorf("an age of %v, %d failures", s.Age(), len(failed))
				}
				p.change(func() { p.status, p.text, p.silent = http.StatusOK, "", nil })
				time.Sleep(keysRetryMost + keysTimeout)
				if err := check(stranger); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// TestAllKeysAreWithdrawn: none of them counts, and nobody is told that they may not
// connect.
func TestAllKeysAreWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, check := watch(t, http.StatusOK)
		token := p.key(t, "a")
		go s.Watch(t.Context())
		synctest.Wait()
		p.change(func() { clear(p.keys) })
		time.Sleep(time.Minute + time.Second)
		if err := check(token); !errors.Is(err, ErrUnchecked) || s.Usable() {
			t.Errorf("%v", err)
		}
		if _, failed, _ := p.heard(); len(failed) == 0 || !errors.Is(failed[0], ErrNoUsableKey) {
			t.Errorf("told of %v", failed)
		}
	})
}

// TestKeysThatWereKept: a node that starts while the provider is away begins with the
// keys of another, if they are not too old, until it can read them itself.
func TestKeysThatWereKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, check := watch(t, 0)
		token := p.key(t, "a")
		other := p.key(t, "b")
		kept := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q}]}`, base64URL(p.keys["a"].Public().(ed25519.PublicKey)))
		go s.Watch(t.Context())
		time.Sleep(keysRetry / 2) // it has tried once
		if err := check(token); !errors.Is(err, ErrUnchecked) || s.Usable() {
			t.Errorf("without keys: %v", err)
		}
		for _, test := range []struct {
			text string
			at   time.Time
			want error
		}{
			{kept, time.Now().Add(-keysKept - time.Second), ErrKeysOld},
			{kept, time.Time{}, ErrKeysOld},
			{kept, time.Now().Add(time.Hour), ErrKeysOld},
			{`{"seq":7,"stream":"KV_UMF_SESSIONS"}`, time.Now(), ErrNoSet},
			{`{"keys":[]}`, time.Now(), ErrNoUsableKey},
			{kept, time.Now().Add(-keysKept + time.Minute), nil},
		} {
			if err := s.Restore([]byte(test.text), test.at); !errors.Is(err, test.want) || s.Usable() != (test.want == nil) {
				t.Errorf("%s of %v: %v", test.text, test.at, err)
			}
		}
		if err := check(token); err != nil || s.Age() < keysKept-time.Minute {
			t.Errorf("with them: %v, of age %v", err, s.Age())
		}
		if err := check(other); !errors.Is(err, ErrUnchecked) {
			t.Errorf("a key that is not among them: %v", err)
		}
		p.change(func() { p.status = http.StatusOK; delete(p.keys, "a") })
		time.Sleep(keysRetry)
		if err := check(token); !refusedFor(err) {
			t.Errorf("once it is withdrawn: %v", err)
		}
		if err := s.Restore([]byte(kept), time.Now()); err != nil || !refusedFor(check(token)) {
			t.Errorf("what was kept beats what was read: %v, %v", err, check(token))
		}
	})
}

// TestRedirects: whoever is on the way cannot put keys into the answer.
func TestRedirects(t *testing.T) {
	step := func(address string) *http.Request {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	for _, test := range []struct {
		to, from string
		follows  bool
	}{
		{"https://b/", "https://a/", true}, {"https://b/", "http://a/", true}, {"http://b/", "http://a/", true}, {"http://a/", "https://a/", false},
	} {
		if err := stayEncrypted(step(test.to), []*http.Request{step(test.from)}); (err == nil) != test.follows {
			t.Errorf("from %s to %s: %v", test.from, test.to, err)
		}
	}
	if stayEncrypted(step("https://a/"), make([]*http.Request, 10)) == nil {
		t.Error("follows without end")
	}
}

var _ Keys = (*KeySet)(nil).Find
var _ jwt.Claims = (*claims)(nil)
