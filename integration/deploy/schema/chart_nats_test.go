package schema

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestChartOnNATS: NATS with the config map that the chart makes of what `hydrant setup
// nats` has written, and users by the secrets that the guide has made of the rest: the job
// makes the streams, and a node, which may not, is ready on them.
func TestChartOnNATS(t *testing.T) {
	for name, shared := range map[string][]string{"accounts": nil, "shared": {"-shared"}} {
		t.Run(name, func(t *testing.T) {
			written := t.TempDir()
			hydrant(t, nil, append([]string{"setup", "nats", "-dir", written, "-services", "echo,chat"}, shared...)...)
			set := valuesFile(t, name)
			part(set, "nats")["accounts"] = read(t, written, "accounts.conf")
			part(set, "setup")["queues"] = []any{"echo", "chat"}
			delete(set, "tls") // another test's
			all := parse(t, render(t, kube, set))
			if err := os.WriteFile(filepath.Join(written, "accounts.conf"), []byte(all.config.Data["accounts.conf"]), 0o600); err != nil {
				t.Fatal(err)
			}
			url := startNATS(t, written)
			content := func(secret, key string) string {
				if key == "EDGE_ADMIN_TOKEN" {
					return "a-token-of-operators"
				}
				return variables(t, filepath.Join(written, "users", strings.TrimPrefix(secret, "nats-")+".env"))[key]
			}
			container := func(pod corev1.PodSpec, more ...string) *exec.Cmd {
				command := exec.Command(hydrantPath(t), pod.Containers[0].Args...)
				command.Env = append(inPod(t, pod, all.secrets, t.TempDir(), content), append(more, "NATS_URL="+url)...)
				return command
			}
			job, err := container(all.job.Spec.Template.Spec).CombinedOutput()
			if err != nil || !bytes.Contains(job, []byte(" streams are as nodes of this configuration need them; 2 work queues\n")) {
				t.Fatalf("%v: %s", err, job)
			}
			listen := "EDGE_ADMIN_LISTEN=" + freeAddress(t)
			node := start(t, container(all.deployment.Spec.Template.Spec, "EDGE_LISTEN=127.0.0.1:0", listen, "EDGE_DRAIN_TIMEOUT=0s"))
			// A node that is never ready ends the test by its time limit, with this last.
			node.until(t, func() bool {
				says := hydrant(t, node.Env, "healthcheck", "-ready")
				t.Log(strings.TrimSpace(says))
				return says == "ok\n"
			})
			if err := node.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if <-node.ended; node.err != nil {
				t.Error(node.err)
			}
		})
	}
}

// part is one of the values' maps, made if it is not there.
func part(set map[string]any, name string) map[string]any {
	if set[name] == nil {
		set[name] = make(map[string]any)
	}
	return set[name].(map[string]any)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// process is a command that runs until the test ends, at the latest.
type process struct {
	*exec.Cmd
	ended chan struct{}
	err   error // after ended
}

// start runs a command; what it says is in the test's own output.
func start(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: command, ended: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		command.Process.Kill()
		<-p.ended
	})
	return p
}

// until asks again and again, as long as the process runs.
func (p *process) until(t *testing.T, is func() bool) {
	t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !is() {
		select {
		case <-p.ended:
			t.Fatalf("%s has ended: %v", p.Path, p.err)
		case <-poll.C:
		}
	}
}

// startNATS runs the server of the version that the repository has, with the accounts.conf
// of a folder, and returns its address.
func startNATS(t *testing.T, dir string) string {
	t.Helper()
	const module = "github.com/nats-io/nats-server/v2"
	list := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module)
	list.Dir = "../../.."
	version, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command("go", "install", module+"@"+strings.TrimSpace(string(version)))
	install.Env = append(os.Environ(), "GOBIN="+filepath.Dir(hydrantPath(t)))
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file := filepath.Join(dir, "nats.conf")
	text := "server_name: nats\nlisten: 127.0.0.1:-1\nports_file_dir: " + dir + "\nmax_payload: 2MB\njetstream { store_dir: " + t.TempDir() + " }\ninclude \"accounts.conf\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(filepath.Join(filepath.Dir(hydrantPath(t)), "nats-server"), "-c", file)
	var ports struct{ NATS []string }
	start(t, server).until(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
		if len(files) != 1 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.NATS) > 0
	})
	return ports.NATS[0]
}
