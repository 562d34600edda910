package api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
)

// Times and bounds of the catalog.
const (
	catalogFresh  = 2 * time.Second  // older, and its use has it read anew
	catalogPause  = time.Second      // from one reading to the next, by and large: whoever asks for paths that are none can have no more
	catalogBurst  = 5                // readings that may follow each other without a pause: who asks for one such path need not wait
	catalogWait   = 5 * time.Second  // for a reading: the pause, the answers, and a slow machine
	catalogKeeps  = time.Hour        // routes of a service that was there
	catalogHold   = 30 * time.Second // a route that its service tells no more: the instance that has it may be late, as with work queues
	catalogRoutes = 1 << 16          // in all
	maxSegments   = 32               // of one route
)

// catalog is what services have registered. One goroutine reads it, [API.Run]; its
// methods may be called from any.
type catalog struct {
	// Immutable.
	full   func()        // counts a route that finds no room
	pause  time.Duration // from one reading to the next
	wanted chan struct{} // holds one: it is to be read

	latest atomic.Pointer[registered] // nil: none yet

	// Guarded by mu.
	mu   sync.Mutex
	next *reading               // that has not asked yet
	seen map[string]*registrant // by service
}

// reading is one reading of the catalog. got and err are written before done is closed.
type reading struct {
	done chan struct{}
	got  *registered
	err  error
}

func newCatalog(full func()) *catalog {
	return &catalog{
		full: full, pause: catalogPause, wanted: make(chan struct{}, 1),
		next: &reading{done: make(chan struct{})}, seen: make(map[string]*registrant),
	}
}

// want has the catalog read soon.
func (c *catalog) want() {
	select {
	case c.wanted <- struct{}{}:
	default: // it is wanted already
	}
}

// current is the catalog as it is known, which may be some seconds old; nil: not yet.
func (c *catalog) current() *registered {
	r := c.latest.Load()
	if r == nil || time.Since(r.read) > catalogFresh {
		c.want()
	}
	return r
}

// ask returns the catalog as services tell of it after the call.
func (c *catalog) ask(ctx context.Context) (*registered, error) {
	c.mu.Lock()
	r := c.next
	c.mu.Unlock()
	c.want()
	select {
	case <-r.done:
		return r.got, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run reads the catalog whenever it is wanted, until ctx ends, and calls told after
// that.
func (c *catalog) run(ctx context.Context, read func(context.Context) ([]discovery.Instance, error), told func(*registered)) {
	var paid time.Time // until then the readings so far have their pauses
	for {
		select {
		case <-c.wanted:
		case <-ctx.Done():
			return
		}
		if now := time.Now(); now.After(paid) {
			paid = now
		}
		paid = paid.Add(c.pause)
		select {
		case <-time.After(time.Until(paid) - catalogBurst*c.pause):
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		r := c.next
		c.next = &reading{done: make(chan struct{})}
		c.mu.Unlock()
		list, err := read(ctx)
		if r.err = err; err == nil {
			r.got = c.take(list, time.Now())
			told(r.got)
		}
		close(r.done)
	}
}

// registrant is one service of the catalog.
type registrant struct {
	routes    []scheme.Route
	described []string
	told      map[string]time.Time // of both, as they are written: when an instance did last
	last      time.Time            // when an instance was seen
}

// registered is the catalog at one moment. Immutable.
type registered struct {
	read    time.Time
	running []string // services, by name
	all     *branch
	of      map[string]*branch // of one service

	services map[string]*registrant // also those that are gone. Read only
}

// branch is what has been registered at one segment, and below it.
type branch struct {
	literal map[string]*branch
	wild    *branch
	ends    []end
}

// end is a route that ends at a branch.
type end struct{ method, service string }

func (b *branch) plant(r *scheme.Route, service string) {
	for _, segment := range r.Segments() {
		if _, wild := scheme.Wildcard(segment); wild {
			if b.wild == nil {
				b.wild = new(branch)
			}
			b = b.wild
			continue
		}
		next := b.literal[segment]
		if next == nil {
			if b.literal == nil {
				b.literal = make(map[string]*branch)
			}
			next = new(branch)
			b.literal[segment] = next
		}
		b = next
	}
	b.ends = append(b.ends, end{r.Method, service})
}

// visit calls f for the branches of a path, those with fewer wildcards at their
// beginning first, until it returns true.
func (b *branch) visit(path string, f func(*branch) bool) bool {
	if b == nil {
		return false
	}
	segment, rest, more := strings.Cut(path, "/")
	for i, next := range [...]*branch{b.literal[segment], b.wild} {
		switch {
		case next == nil, i == 1 && segment == "":
		case more && next.visit(rest, f), !more && len(next.ends) > 0 && f(next):
			return true
		}
	}
	return false
}

// found is where a request goes, or which methods its path has.
type found struct {
	service string // "": there is no route of that method
	method  string // that goes to it: GET for a HEAD that it does not know
	path    string
	allowed []string // methods of the path, sorted; empty: there is no such path
}

// find looks for a route: by the whole path, or by what follows the name of a service.
func (r *registered) find(method, path string) found {
	if r == nil || strings.Count(path, "/") > maxSegments+1 {
		return found{}
	}
	if f := r.all.find(method, path); len(f.allowed) > 0 {
		return f
	}
	name, rest, _ := strings.Cut(path[1:], "/")
	if of := r.of[name]; of != nil {
		return of.find(method, "/"+rest)
	}
	return found{}
}

func (b *branch) find(method, path string) found {
	f := found{path: path}
	methods := []string{method}
	if method == "HEAD" {
		methods = []string{"HEAD", "GET"}
	}
	for _, m := range methods {
		if b.visit(path[1:], func(at *branch) bool {
			for _, e := range at.ends {
				if e.method == m || e.method == "" {
					f.service, f.method = e.service, m
					return true
				}
			}
			return false
		}) {
			break
		}
	}
	b.visit(path[1:], func(at *branch) bool {
		for _, e := range at.ends {
			f.allowed = append(f.allowed, e.method)
		}
		return false
	})
	slices.Sort(f.allowed)
	f.allowed = slices.Compact(f.allowed)
	return f
}

// take makes the catalog anew from all instances that run.
func (c *catalog) take(list []discovery.Instance, now time.Time) *registered {
	c.mu.Lock()
	defer c.mu.Unlock()
	var running []string
	before := make(map[string]*registrant)
	for i := range list {
		name := string(list[i].Service)
		s := c.seen[name]
		if s == nil || s.last != now {
			before[name] = s
			s = &registrant{told: make(map[string]time.Time), last: now}
			c.seen[name] = s
			running = append(running, name)
		}
		s.add(&list[i])
	}
	for name, s := range before {
		c.seen[name].hold(s)
	}
	for name, s := range c.seen {
		if now.Sub(s.last) > catalogKeeps {
			delete(c.seen, name)
		}
	}
	slices.Sort(running)
	r := c.build(running)
	r.read = now
	c.latest.Store(r)
	return r
}

// add takes what an instance registers, beside what others of its service do. A route
// that is none does not cost it the others.
func (s *registrant) add(in *discovery.Instance) {
	for _, text := range in.Routes {
		route, err := scheme.ParseRoute(text)
		if err != nil || len(route.Segments()) > maxSegments || s.has(route.String()) {
			continue
		}
		s.told[route.String()] = s.last
		s.routes = append(s.routes, route)
	}
	for _, text := range in.Described {
		if !s.has(text) {
			s.told[text] = s.last
			s.described = append(s.described, text)
		}
	}
}

func (s *registrant) has(text string) bool {
	_, told := s.told[text]
	return told
}

// hold takes over what the service has told some moments ago, and not now. An instance
// that does not answer in time is no different from one that has left, and the routes of
// the others are not all that there are while versions change.
func (s *registrant) hold(before *registrant) {
	if before == nil {
		return
	}
	held := func(text string) bool {
		at := before.told[text]
		if s.has(text) || s.last.Sub(at) > catalogHold || len(s.told) >= catalogRoutes {
			return false
		}
		s.told[text] = at
		return true
	}
	for i := range before.routes {
		if held(before.routes[i].String()) {
			s.routes = append(s.routes, before.routes[i])
		}
	}
	for _, text := range before.described {
		if held(text) {
			s.described = append(s.described, text)
		}
	}
}

// build plants the routes of all services that are kept, by name, so that of two that
// register the same one it is always the same that gets it. One that runs goes before
// one that does not.
func (c *catalog) build(running []string) *registered {
	r := &registered{running: running, all: new(branch), of: make(map[string]*branch), services: maps.Clone(c.seen)}
	var gone []string
	for name := range c.seen {
		if _, there := slices.BinarySearch(running, name); !there {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	planted := 0
	for _, name := range slices.Concat(running, gone) {
		s := c.seen[name]
		r.of[name] = new(branch)
		for i := range s.routes {
			if planted == catalogRoutes {
				c.full()
				break
			}
			planted++
			r.all.plant(&s.routes[i], name)
			r.of[name].plant(&s.routes[i], name)
		}
	}
	return r
}

// forget lets go of all that is known, and has it read anew.
func (c *catalog) forget() {
	c.mu.Lock()
	clear(c.seen)
	c.latest.Store(nil)
	c.mu.Unlock()
	c.want()
}
