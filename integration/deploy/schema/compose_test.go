package schema

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// TestComposeV2: Compose v2 takes the file that the Docker test runs with
// Compose 1.29, and means the same by it.
func TestComposeV2(t *testing.T) {
	for name, c := range map[string]struct {
		profiles []string
		services int
	}{
		"small":      {nil, 7},
		"monitoring": {[]string{"monitoring"}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			options, err := cli.NewProjectOptions([]string{"../../../docker-compose.yml"}, cli.WithProfiles(c.profiles))
			if err != nil {
				t.Fatal(err)
			}
			project, err := options.LoadProject(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(project.Services) != c.services {
				t.Errorf("services %v, want %d", project.ServiceNames(), c.services)
			}
			edge := project.Services["edge"]
			if edge.StopGracePeriod == nil || edge.StopGracePeriod.String() != "50s" {
				t.Errorf("edges have %v to stop", edge.StopGracePeriod)
			}
			for _, server := range []string{"nats-1", "nats-2", "nats-3"} {
				s := project.Services[server]
				if s.Image != "hydrant-nats:latest" || s.StopGracePeriod == nil || *s.Environment["NATS_NAME"] != server || s.Environment["NATS_ROUTES"] == nil {
					t.Errorf("%s: the merged parts are missing: %+v", server, s)
				}
				if len(s.Ports) > 0 { // its monitoring names subjects, and so sessions
					t.Errorf("%s is reached from outside: %+v", server, s.Ports)
				}
			}
			if project, err = project.WithServicesEnvironmentResolved(true); err != nil {
				t.Fatal(err)
			}
			trustsTheBalancer(t, project)
			hasSecrets(t, project)
			if ports := project.Services["haproxy"].Ports; len(ports) != 2 || ports[0].Published != "8080" || ports[1].HostIP != "127.0.0.1" {
				t.Errorf("ports of haproxy: %+v", ports)
			}
		})
	}
}

// trustsTheBalancer: the edges believe HAProxy's address what it says of clients, and no
// other container can get that address.
func trustsTheBalancer(t *testing.T, project *types.Project) {
	t.Helper()
	trusted, err := netip.ParseAddr(*project.Services["edge"].Environment["EDGE_TRUSTED_PROXIES"])
	if err != nil {
		t.Fatalf("not one address: %v", err)
	}
	if own := project.Services["haproxy"].Networks["front"].Ipv4Address; own != trusted.String() {
		t.Errorf("HAProxy has %s, and %s is trusted", own, trusted)
	}
	pool := project.Networks["front"].Ipam.Config[0]
	subnet, others := netip.MustParsePrefix(pool.Subnet), netip.MustParsePrefix(pool.IPRange)
	if !subnet.Contains(trusted) || !subnet.Contains(others.Addr()) || others.Contains(trusted) || others.Bits() <= subnet.Bits() {
		t.Errorf("%s of %s, where others get one of %s", trusted, subnet, others)
	}
	for name, s := range project.Services {
		if front := s.Networks["front"]; name != "haproxy" && front != nil && front.Ipv4Address != "" {
			t.Errorf("%s has the address %s", name, front.Ipv4Address)
		}
	}
}

// hasSecrets: each has the user that `hydrant setup nats` has written for it, out of a
// file, and the edges' token of administrators is a secret. No password stands in the
// compose file itself, but for that of the servers among each other.
func hasSecrets(t *testing.T, project *types.Project) {
	t.Helper()
	for _, user := range []string{"edge", "setup", "echo"} {
		env := project.Services[user].Environment
		for name, value := range variables(t, "../../../deploy/nats/users/"+user+".env") {
			if got := env[name]; got == nil || *got != value {
				t.Errorf("%s has another %s than its file", user, name)
			}
		}
	}
	for name, s := range project.Services {
		user, has := s.Environment["NATS_USER"]
		if has && *user != name {
			t.Errorf("%s is the user %s", name, *user)
		}
		if len(s.Secrets) > 0 != (name == "edge") {
			t.Errorf("%s has the secrets %v", name, s.Secrets)
		}
	}
	edge := project.Services["edge"]
	if len(edge.Secrets) != 1 || *edge.Environment["EDGE_ADMIN_TOKEN_FILE"] != "/run/secrets/"+edge.Secrets[0].Source {
		t.Fatalf("the token is in %v of %v", *edge.Environment["EDGE_ADMIN_TOKEN_FILE"], edge.Secrets)
	}
	token, err := os.ReadFile(project.Secrets[edge.Secrets[0].Source].File)
	if err != nil || len(strings.TrimSpace(string(token))) < 16 {
		t.Errorf("the token: %q, %v", token, err)
	}
	text, err := os.ReadFile("../../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"NATS_PASSWORD:", "EDGE_ADMIN_TOKEN:", "10.0.0.0", "172.16.0.0", "192.168.0.0"} {
		if strings.Contains(string(text), word) {
			t.Errorf("%s stands in docker-compose.yml", word)
		}
	}
}

// variables are those of a file of `hydrant setup nats`.
func variables(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[name] = value
		}
	}
	if len(all) != 2 {
		t.Fatalf("%s has %v", file, all)
	}
	return all
}
