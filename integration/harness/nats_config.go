package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// natsConfig is the configuration file of one server.
type natsConfig struct {
	// Immutable after start.
	path    string
	cluster string // its address for routes
	routes  []string

	// Owned by whoever restarts the server.
	o       NATSOptions
	mounted bool
}

// configure writes the file, and makes the file system for the store if there is
// to be one.
func (s *NATSServer) configure() error {
	c := s.config
	var text strings.Builder
	fmt.Fprintf(&text, "server_name: %s\nlisten: %q\nhttp: %q\n", s.ServerName, s.Addr, s.Monitor)
	if !c.o.NoStore {
		fmt.Fprintf(&text, "jetstream { store_dir: %q", s.Store)
		if c.o.SyncAlways {
			text.WriteString(", sync_interval: always")
		}
		if c.o.MaxStore > 0 {
			fmt.Fprintf(&text, ", max_file_store: %d", c.o.MaxStore)
		}
		text.WriteString(" }\n")
	}
	if c.o.MaxPayload > 0 {
		fmt.Fprintf(&text, "max_payload: %d\n", c.o.MaxPayload)
	}
	if c.o.Servers > 1 {
		routes, err := json.Marshal(c.routes)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "cluster { name: hydrant-test, listen: %q, no_advertise: true, routes: %s }\n", c.cluster, routes)
	}
	if c.o.User != "" {
		fmt.Fprintf(&text, "authorization { user: %q, password: %q }\n", c.o.User, c.o.Password)
	}
	if c.o.Include != "" {
		from, err := filepath.Rel(filepath.Dir(c.path), c.o.Include) // nats-server knows no other way
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "include %q\n", from)
	}
	if err := os.WriteFile(c.path, []byte(text.String()), 0o600); err != nil {
		return err
	}
	if c.o.Disk == 0 || c.mounted {
		return nil
	}
	if err := os.MkdirAll(s.Store, 0o755); err != nil {
		return err
	}
	if err := Mount(s.Store, c.o.Disk); err != nil {
		return err
	}
	c.mounted = true
	return nil
}

// Rotate gives the user another password: the running server reads its
// configuration again, and throws out who came in with the old one.
func (s *NATSServer) Rotate(password string) error {
	s.config.o.Password = password
	if err := s.configure(); err != nil {
		return err
	}
	return s.Signal(syscall.SIGHUP)
}

// Keep copies the store of the server, which must not run, into dir.
func (s *NATSServer) Keep(dir string) error {
	return os.CopyFS(filepath.Join(dir, s.ServerName), os.DirFS(s.Store))
}

// Restore puts such a copy in the place of the store. The server must not run.
func (s *NATSServer) Restore(dir string) error {
	if err := s.Empty(); err != nil {
		return err
	}
	return os.CopyFS(s.Store, os.DirFS(filepath.Join(dir, s.ServerName)))
}

// Empty removes everything from the store. The server must not run.
func (s *NATSServer) Empty() error {
	entries, err := os.ReadDir(s.Store)
	if err != nil {
		return err
	}
	for _, entry := range entries { // the directory itself may be a mount
		if err := os.RemoveAll(filepath.Join(s.Store, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Fill writes a file beside the store until its file system is full, and returns
// what takes that file away again.
func (s *NATSServer) Fill() (free func() error, err error) {
	name := filepath.Join(s.Store, "full")
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	block := make([]byte, 1<<16)
	for len(block) > 0 {
		if _, err := file.Write(block); err != nil {
			block = block[:len(block)/2] // what is left is smaller
		}
	}
	return func() error { return os.Remove(name) }, nil
}

// Route is a connection between two servers, as one of them has it.
type Route struct {
	Account string `json:"account"` // "": several use it
	IP      string `json:"ip"`      // of the other
	Port    int    `json:"port"`    // of the other
	// Accepted: the other one has made it. The page says of each that it was solicited.
	Accepted bool `json:"-"`
}

// Routes asks the server for its own.
func (s *NATSServer) Routes() ([]Route, error) {
	var page struct {
		Routes []Route `json:"routes"`
	}
	err := s.page("/routez", &page)
	for i := range page.Routes {
		r := &page.Routes[i]
		r.Accepted = !slices.ContainsFunc(s.config.routes, func(url string) bool { return strings.HasSuffix(url, ":"+strconv.Itoa(r.Port)) })
	}
	return page.Routes, err
}

// Leader is who leads a stream as this server itself has it; "": nobody, as far as it knows.
func (s *NATSServer) Leader(stream string) (string, error) {
	var page struct {
		Accounts []struct {
			Streams []struct {
				Name    string `json:"name"`
				Cluster *struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	err := s.page("/jsz?accounts=true&streams=true", &page)
	for _, account := range page.Accounts {
		for _, st := range account.Streams {
			if st.Name == stream && st.Cluster != nil {
				return st.Cluster.Leader, err
			}
		}
	}
	return "", err
}

// Varz is the part of a server's own page that runs look at.
type Varz struct {
	JetStream struct {
		Config struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
		Meta *struct {
			Leader string `json:"leader"`
		} `json:"meta"`
	} `json:"jetstream"`
}

// Varz asks the server for it.
func (s *NATSServer) Varz() (v Varz, err error) {
	err = s.page("/varz", &v)
	return v, err
}
