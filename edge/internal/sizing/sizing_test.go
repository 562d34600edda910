package sizing

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var (
	ordinary = Load{Sessions: 10_000, Away: 0.2, Requests: 500, Pushes: 1000, Resumes: 20, Bytes: 300, TTL: 24 * time.Hour, Queue: 1000}
	machine  = Machine{Cores: 4, Memory: 8 << 30}
)

func prices(t *testing.T) Prices {
	t.Helper()
	p, err := Measured()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMeasured: each price is there.
func TestMeasured(t *testing.T) {
	var look func(v reflect.Value, path string)
	look = func(v reflect.Value, path string) {
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				look(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
			return
		}
		if v.IsZero() || v.CanFloat() && v.Float() < 0 || v.CanInt() && v.Int() < 0 {
			t.Errorf("%s is %v", path, v)
		}
	}
	look(reflect.ValueOf(prices(t)), "prices")
}

// TestMoreNeedsMore: whatever grows, nothing that is needed shrinks, but the share of each
// node.
func TestMoreNeedsMore(t *testing.T) {
	p := prices(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		l := Load{
			Sessions: 1 + random.IntN(1_000_000), Away: random.Float64(), Requests: random.Float64() * 50_000, Pushes: random.Float64() * 200_000,
			Resumes: random.Float64() * 5000, Bytes: 1 + random.IntN(10_000), TTL: time.Duration(1+random.IntN(100)) * time.Hour, Queue: 1 + random.IntN(5000), Alone: random.IntN(2) == 0,
		}
		more := l
		switch random.IntN(5) {
		case 0:
			more.Sessions *= 2
		case 1:
			more.Requests *= 2
		case 2:
			more.Pushes *= 2
		case 3:
			more.TTL *= 2
		case 4:
			more.Bytes *= 2
		}
		a, err := Size(l, machine, p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Size(more, machine, p)
		if err != nil {
			t.Fatal(err)
		}
		if b.Nodes < a.Nodes || b.Servers < a.Servers || b.Copies < a.Copies || b.Streams < a.Streams || b.Store < a.Store ||
			b.Edge.Cores < a.Edge.Cores || b.NATS.Cores < a.NATS.Cores || b.Edge.Memory < a.Edge.Memory || b.NATS.Memory < a.NATS.Memory {
			t.Fatalf("%+v needs %+v, and %+v %+v", l, a, more, b)
		}
	}
}

// TestOneMayFail: the nodes that are left carry the load, within what is planned of a
// machine, and so do the servers.
func TestOneMayFail(t *testing.T) {
	p := prices(t)
	for _, factor := range []float64{0.01, 1, 10, 100, 1000} {
		l := ordinary
		l.Sessions = int(float64(l.Sessions) * factor)
		l.Requests, l.Pushes, l.Resumes = l.Requests*factor, l.Pushes*factor, l.Resumes*factor
		plan, err := Size(l, machine, p)
		if err != nil {
			t.Fatal(err)
		}
		left := float64(plan.Nodes - 1)
		if plan.Nodes < 2 || plan.Edge.Memory > int64(full*float64(machine.Memory)*left)+p.Base.Node {
			t.Errorf("× %g: %+v", factor, plan)
		}
		others := float64(plan.Servers - 1)
		if used, held := plan.NATS.Cores/others, float64(plan.NATS.Memory)/others; used > busy*machine.Cores || held > full*float64(machine.Memory) {
			t.Errorf("× %g: %g cores and %g bytes of each server that is left: %+v", factor, used, held, plan)
		}
		if plan.Servers < 3 || plan.Copies != 3 || plan.Servers%2 == 0 {
			t.Errorf("× %g: %d servers, %d copies", factor, plan.Servers, plan.Copies)
		}
		l.Alone = true
		if plan, err = Size(l, machine, p); err != nil || plan.Servers > 1 != (plan.Copies == 3) || factor <= 1 && plan.Servers != 1 {
			t.Errorf("× %g, alone: %d servers, %d copies, %v", factor, plan.Servers, plan.Copies, err)
		}
	}
}

// TestStoreHolds: what can wait has room in the mailboxes' share.
func TestStoreHolds(t *testing.T) {
	p := prices(t)
	for _, l := range []Load{
		{Sessions: 10, Pushes: 1, Bytes: 1000, TTL: time.Hour, Queue: 1_000_000},          // by time
		{Sessions: 10, Pushes: 10_000, Bytes: 1000, TTL: 24 * time.Hour, Queue: 100},      // by the mailboxes' bound
		{Sessions: 1_000_000, Away: 1, Pushes: 0.001, Bytes: 1, TTL: time.Hour, Queue: 1}, // sessions
	} {
		plan, err := Size(l, machine, p)
		if err != nil {
			t.Fatal(err)
		}
		kept := min(l.Pushes*1.5*l.TTL.Seconds(), float64(l.Queue*l.Sessions))
		if room := 0.7 * float64(plan.Store); kept*float64(l.Bytes) > room {
			t.Errorf("%+v: %g bytes wait in %g", l, kept*float64(l.Bytes), room)
		}
		if room := 0.15 * float64(plan.Store); float64(l.Sessions)*float64(p.Session) > room+1 {
			t.Errorf("%+v: sessions have %g", l, room)
		}
	}
}

func TestNoLoad(t *testing.T) {
	p := prices(t)
	for name, change := range map[string]func(*Load, *Machine){
		"no sessions":    func(l *Load, _ *Machine) { l.Sessions = 0 },
		"more than all":  func(l *Load, _ *Machine) { l.Away = 1.1 },
		"less than none": func(l *Load, _ *Machine) { l.Away = -0.1 },
		"no number":      func(l *Load, _ *Machine) { l.Away = math.NaN() },
		"endless":        func(l *Load, _ *Machine) { l.Pushes = math.Inf(1) },
		"backwards":      func(l *Load, _ *Machine) { l.Resumes = -1 },
		"no rate":        func(l *Load, _ *Machine) { l.Requests = math.NaN() },
		"empty":          func(l *Load, _ *Machine) { l.Bytes = 0 },
		"no time":        func(l *Load, _ *Machine) { l.TTL = 0 },
		"no queue":       func(l *Load, _ *Machine) { l.Queue = 0 },
		"no processor":   func(_ *Load, m *Machine) { m.Cores = 0 },
		"no memory":      func(_ *Load, m *Machine) { m.Memory = 0 },
	} {
		l, m := ordinary, machine
		change(&l, &m)
		if plan, err := Size(l, m, p); !errors.Is(err, ErrLoad) {
			t.Errorf("%s: %+v, %v", name, plan, err)
		}
	}
}
