package js

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, method string, fields ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/hydrant.js", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	Serve(w, r)
	return w.Result()
}

// TestServe: any page gets the module, as small as it can read it, and asks whether it
// has changed.
func TestServe(t *testing.T) {
	for _, test := range []struct {
		accept string
		gzip   bool
	}{
		{"", false}, {"identity", false}, {"gzip", true}, {"br, GZIP;q=0.5", true}, {"gzip;q=0", false}, {"gzip; q=0.0, *", false}, {"xgzip", false}, {"deflate, gzip ; q = 1", true}, {"gzip;q=x", false},
	} {
		response := get(t, http.MethodGet, "Accept-Encoding", test.accept)
		body := io.Reader(response.Body)
		if zipped := response.Header.Get("Content-Encoding") == "gzip"; zipped != test.gzip {
			t.Errorf("%q: gzip %v", test.accept, zipped)
		} else if zipped {
			unzipped, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = unzipped
		}
		text, err := io.ReadAll(body)
		if err != nil || string(text) != string(source) || response.StatusCode != http.StatusOK {
			t.Errorf("%q: status %d, %d bytes, %v", test.accept, response.StatusCode, len(text), err)
		}
		for name, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Vary": "Accept-Encoding", "Cache-Control": "no-cache"} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%q: %s %q", test.accept, name, got)
			}
		}
		if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/javascript") { // or no browser runs it as a module
			t.Errorf("content type %q", kind)
		}
		again := get(t, http.MethodGet, "Accept-Encoding", test.accept, "If-None-Match", response.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%q: the same again is %d", test.accept, again.StatusCode)
		}
	}
	if plain, zipped := get(t, http.MethodGet).Header.Get("ETag"), get(t, http.MethodGet, "Accept-Encoding", "gzip").Header.Get("ETag"); plain == zipped {
		t.Errorf("two representations are called %s", plain)
	}
	head := get(t, http.MethodHead)
	if text, _ := io.ReadAll(head.Body); len(text) != 0 || head.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %d with %d bytes", head.StatusCode, len(text))
	}
}

// TestSize: a page loads no more than this.
func TestSize(t *testing.T) {
	const most = 14_000
	if n := len(compressed); n > most {
		t.Errorf("%d bytes are served, at most %d shall be", n, most)
	}
}
