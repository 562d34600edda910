package discovery

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"

	"hydrant/bus"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestRoutesAndHealth: a service of NATS' own framework registers its routes in the
// metadata of whichever endpoint, and tells of its health what it likes; the kit's
// services tell all of it.
func TestRoutesAndHealth(t *testing.T) {
	ns := natstest.Start(t)
	plain, err := micro.AddService(connect(t, ns.URL()), micro.Config{
		Name: "plain", Version: "1.0.0", Description: "in any language", Metadata: map[string]string{scheme.MetaRoute: "/v1/all"},
		StatsHandler: func(e *micro.Endpoint) any {
			if e.Name == "second" {
				return map[string]int{"uptimeSeconds": 5}
			}
			return "no object"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	take := micro.HandlerFunc(func(micro.Request) {})
	err = errors.Join(
		plain.AddEndpoint("first", take, micro.WithEndpointSubject("umf.v1.svc.plain"), micro.WithEndpointMetadata(map[string]string{
			scheme.MetaRoute: "[get]/v1/a, [post]/v1/a", scheme.MetaDescribe: "{}"})),
		plain.AddEndpoint("second", take, micro.WithEndpointSubject("plain.else"), micro.WithEndpointMetadata(map[string]string{
			scheme.MetaRoute: "[get]/v1/a [get]/v1/b"})))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := bus.NewService(connect(t, ns.URL()), bus.ServiceConfig{Name: "kit", Description: "of the kit", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(kit.HandleMethod("put", "/v1/k/{id}", echo), kit.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(plain.Stop(), kit.Stop(t.Context())); err != nil {
			t.Log(err) // the connections may be gone
		}
	})
	d := New(connect(t, ns.URL()))
	ctx := natstest.Context(t)
	var list []Instance
	var health map[string]json.RawMessage
	natstest.WaitFor(t, func() bool {
		var err1, err2 error
		list, err1 = d.ServicesSince(ctx, time.Now())
		health, err2 = d.Vitals(ctx)
		return err1 == nil && err2 == nil && len(list) == 2 && len(health) == 2
	})
	k, p := list[0], list[1]
	if !slices.Equal(p.Routes, []string{"/v1/all", "[get]/v1/a", "[post]/v1/a", "[get]/v1/b"}) || !slices.Equal(p.Described, []string{"{}"}) ||
		p.Description != "in any language" || p.ProcessID != 0 || p.IP != "" || p.Heard.IsZero() {
		t.Errorf("%+v", p)
	}
	if string(health[p.NATS]) != `{"uptimeSeconds":5}` {
		t.Errorf("%s", health[p.NATS])
	}
	if !slices.Equal(k.Routes, []string{"[PUT]/v1/k/{id}"}) || k.Description != "of the kit" || k.ProcessID == 0 || k.IP == "" || k.Port != "" {
		t.Errorf("%+v", k)
	}
	var vitals struct{ Memory map[string]uint64 }
	if err := json.Unmarshal(health[k.NATS], &vitals); err != nil || vitals.Memory["heapUsed"] == 0 {
		t.Errorf("%s, %v", health[k.NATS], err)
	}
}

// TestServicesSince: what is asked for after a time comes from a later question.
func TestServicesSince(t *testing.T) {
	ns := natstest.Start(t)
	d := New(connect(t, ns.URL()))
	ctx := natstest.Context(t)
	if _, err := d.Services(ctx); err != nil {
		t.Fatal(err)
	}
	first := d.info.latest
	if _, err := d.ServicesSince(ctx, first.put.Add(-1)); err != nil || d.info.latest != first {
		t.Error("asked again for what it knows", err)
	}
	if _, err := d.ServicesSince(ctx, first.put); err != nil || d.info.latest == first {
		t.Error("not asked again", err)
	}
}
