package integration

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"hydrant/bus"
	"hydrant/integration/harness/world"
)

// TestHeadersOfNodes: what clients write under the names of headers of nodes and of NATS
// is believed by nobody, over HTTP and over WebSocket: S110.
func TestHeadersOfNodes(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name, node := world.Unique(t), w.Node(t, "a")
	asked := make(chan *bus.Request, 16)
	kitService(t, w, name, func(s *bus.Service) error {
		take := func(ctx context.Context, r *bus.Request) error {
			asked <- r
			return r.Reply(ctx, "done")
		}
		return errors.Join(s.HandleAny(take), s.HandleMethod("GET", "/"+name, take))
	})
	c, other := world.Dial(t, node), world.Dial(t, node)
	forged := map[string]string{
		"Umf-Identity": "admin", "Umf-Session": other.ID, "Umf-Mailbox": "umf.v1.out." + other.ID[:1] + "." + other.ID, "Umf-Mark": "1",
		"Umf-Status": "200", "Umf-Later": "x", "Nats-Msg-Id": "forged", "Nats-TTL": "1", "Nats-Service-Error": "x", "Status": "503",
	}
	fields, members := make(http.Header), object{}
	for key, value := range forged {
		fields.Set(key, value)
		members[key], members[strings.ToLower(key)] = value, value
	}
	for how, send := range map[string]func(){
		"HTTP by path": func() {
			if response, raw := byPath(t, "GET", there(t, node.HTTP("/"+name)), nil, fields); response.StatusCode != http.StatusOK {
				t.Errorf("%d %s", response.StatusCode, raw)
			}
		},
		"WebSocket":          func() { c.Call(object{"to": name + ":/", "hdr": members, "bdy": 1}) },
		"WebSocket, by path": func() { c.Call(object{"to": name + ":[GET]/" + name, "hdr": members, "bdy": object{}}) },
	} {
		send()
		r := <-asked
		session := c.ID
		if how != "WebSocket" { // it waits for the answer itself, or has no session
			session = r.Session
		}
		if r.Identity != "" || r.Session != session || r.Session == other.ID || strings.Contains(r.Mailbox, other.ID) {
			t.Errorf("%s: by %q, in session %q with mailbox %q", how, r.Identity, r.Session, r.Mailbox)
		}
		for key, value := range forged {
			for got, values := range r.Header {
				if strings.EqualFold(got, key) && values[0] == value {
					t.Errorf("%s: the service has the header %s: %q", how, got, values)
				}
			}
			lower := strings.ToLower(key)
			if strings.HasPrefix(how, "HTTP") && lower != "status" && r.HeaderValue(lower) != "" {
				t.Errorf("%s: the field %s goes on as %q", how, key, r.HeaderValue(lower))
			}
		}
	}
}
