//go:build cluster

package guides

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// helper is a container that ModelMesh puts beside a runtime, with what it requests by default
// (config/default/config-defaults.yaml of kserve/modelmesh-serving).
type helper struct{ name, cpu, memory string }

// helpers of a pod of ModelMesh: the puller is that of runtimes without an adapter, whose adapter pulls by itself.
var helpers = []helper{
	{"mm", "300m", "448Mi"}, {"adapter", "50m", "96Mi"}, {"puller", "50m", "96Mi"}, {"rest-proxy", "50m", "96Mi"},
}

// footprint has a host hold so many models more, and logs what it takes beside what ModelMesh's containers request.
func (o *owner) footprint(models int) {
	o.t.Helper()
	var yaml strings.Builder
	for i := range models {
		yaml.WriteString(isvc(fmt.Sprintf("more-%04d", i), deployedByMesh, "custom", modelPath))
	}
	o.pipe(yaml.String(), "create")
	eventually(o.t, func() error {
		if got := strings.Count(o.kubectl("get", "isvc", "-o", "jsonpath={.items[*].status.modelStatus.states.activeModelState}")+" ", "Loaded "); got < models+2 {
			return fmt.Errorf("%d of %d models are loaded", got, models+2)
		}
		return nil
	})
	const pod, container = "name=modelmesh-serving-custom-1.x", `.items[0].status.containerStatuses[?(@.name=="mm")]`
	_, id, _ := strings.Cut(o.kubectl("get", "pods", "--selector", pod, "-o", "jsonpath={"+container+".containerID}"), "://")
	requests := strings.Fields(o.kubectl("get", "pods", "--selector", pod, "-o",
		`jsonpath={.items[0].spec.containers[?(@.name=="mm")].resources.requests.cpu} {.items[0].spec.containers[?(@.name=="mm")].resources.requests.memory}`))
	if len(requests) != 2 {
		o.t.Fatalf("the host requests %q", requests)
	}
	used, err := memoryOf(id)
	if err != nil {
		o.t.Fatal(err)
	}
	ours := helper{"host", requests[0], requests[1]}
	o.t.Log(table(ours, used, models+1))
	if request := resource.MustParse(ours.memory); used.anon > request.Value() {
		o.t.Errorf("the host takes %d bytes and requests %d", used.anon, request.Value())
	}
	if pulls := total(helpers[0], helpers[1], helpers[3]); !less(ours, pulls) {
		o.t.Errorf("the host requests %v, what it replaces %v", ours, pulls)
	}
}

// table is what the documentation shows.
func table(ours helper, used usage, models int) string {
	var b strings.Builder
	fmt.Fprintln(&b, "\n| container | requests | memory |\n|---|---|---|")
	for _, h := range helpers {
		fmt.Fprintf(&b, "| %s | %s CPU, %s | |\n", h.name, h.cpu, h.memory)
	}
	sum := total(helpers[0], helpers[1], helpers[3])
	fmt.Fprintf(&b, "| together, with adapter or puller | %s CPU, %s | |\n", sum.cpu, sum.memory)
	const mib = 1 << 20
	fmt.Fprintf(&b, "| host with %d models | %s CPU, %s | %.1f MiB anonymous, %.1f MiB resident, %.1f MiB with files in its cgroup |\n",
		models, ours.cpu, ours.memory, float64(used.anon)/mib, float64(used.resident)/mib, float64(used.charged)/mib)
	return b.String()
}

// total adds up requests.
func total(all ...helper) helper {
	cpu, bytes := resource.Quantity{}, resource.Quantity{Format: resource.BinarySI}
	for _, h := range all {
		cpu.Add(resource.MustParse(h.cpu))
		bytes.Add(resource.MustParse(h.memory))
	}
	return helper{"", cpu.String(), bytes.String()}
}

func less(a, b helper) bool {
	cpu, bytes := resource.MustParse(a.cpu), resource.MustParse(a.memory)
	return cpu.Cmp(resource.MustParse(b.cpu)) < 0 && bytes.Cmp(resource.MustParse(b.memory)) < 0
}

// usage of a container, in bytes.
type usage struct {
	// anon is what its processes have made; resident has the pages of their programs, too; charged is all that counts
	// towards its limit, files that it has read and written among it.
	anon, resident, charged int64
}

// memoryOf reads a container's usage of memory from its cgroup, of which this machine is the node.
func memoryOf(container string) (m usage, err error) {
	var dir string
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Cgroups come and go.
		}
		if err == nil && entry.Name() == container && (exists(path, "memory.current") || exists(path, "memory.usage_in_bytes")) {
			dir = path
			return fs.SkipAll
		}
		return err
	})
	if err != nil || dir == "" {
		return m, fmt.Errorf("find the cgroup of container %q: %q %w", container, dir, err)
	}
	var errs [3]error
	charged, anon := "memory.current", "anon"
	if !exists(dir, charged) {
		charged, anon = "memory.usage_in_bytes", "total_rss" // cgroup v1
	}
	m.charged, errs[0] = figure(filepath.Join(dir, charged), "")
	m.anon, errs[1] = figure(filepath.Join(dir, "memory.stat"), anon)
	processes, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	errs[2] = err
	for _, pid := range strings.Fields(string(processes)) {
		kib, err := figure(filepath.Join("/proc", pid, "status"), "VmRSS:")
		m.resident += kib << 10
		errs[2] = errors.Join(errs[2], err)
	}
	return m, errors.Join(errs[:]...)
}

func exists(elements ...string) bool {
	_, err := os.Stat(filepath.Join(elements...))
	return err == nil
}

// figure is the number after a word at the beginning of a line.
func figure(file, word string) (int64, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(strings.TrimPrefix(line, word)); strings.HasPrefix(line, word) && len(fields) > 0 {
			if number, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				return number, nil
			}
		}
	}
	return 0, fmt.Errorf("%s has no %q", file, word)
}
