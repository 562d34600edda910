package main

import "testing"

func TestLocalAddress(t *testing.T) {
	for listen, want := range map[string]string{
		":9353": "127.0.0.1:9353", "0.0.0.0:9353": "127.0.0.1:9353", "[::]:9353": "[::1]:9353",
		"127.0.0.1:9353": "127.0.0.1:9353", "10.1.2.3:80": "10.1.2.3:80", "[fd00::1]:80": "[fd00::1]:80", "localhost:1": "localhost:1",
		"": "", "9353": "",
	} {
		got, err := localAddress(listen)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", listen, got, err, want)
		}
	}
}
