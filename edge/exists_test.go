package edge

import (
	"testing"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// TestExists: a node tells a service whether there is a session, and answers to nothing
// but an inbox.
func TestExists(t *testing.T) {
	t.Parallel()
	server := startNATS(t)
	_, url := begin(t, server.URL(), func(*Config) {})
	nc, err := bus.Connect(bus.Config{URL: server.URL()}, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c, err := harness.Dial(t.Context(), url, harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	there := scheme.SID(c.ID)
	for range 2 { // found out, and remembered
		for sid, want := range map[scheme.SID]string{there: scheme.ExistsYes, scheme.NewSID(): scheme.ExistsNo} {
			m, err := nc.Request(scheme.ExistsSubject(sid), nil, harness.Patience)
			if err != nil || string(m.Data) != want {
				t.Errorf("%v, %v, want %s", m, err, want)
			}
		}
	}
	spy, err := nc.SubscribeSync("umf.v1.work.mine")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(scheme.ExistsSubject(there), "umf.v1.work.mine", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Request(scheme.ExistsSubject(there), nil, harness.Patience); err != nil { // which comes behind it
		t.Fatal(err)
	}
	if n, _, _ := spy.Pending(); n != 0 {
		t.Errorf("a node answers where it is told to")
	}
}
