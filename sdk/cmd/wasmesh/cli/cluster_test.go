package cli

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cluster/clustertest"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// kubernetes is a cluster with a mesh in its namespace "default" and the controller in "wasmesh".
type kubernetes struct {
	*clustertest.Server
	kubeconfig string
}

// inKubernetes has the mesh's controller in a pod of a cluster, and its objects in the API server.
func (m *mesh) inKubernetes(t *testing.T) kubernetes {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	adminv1.RegisterAdminServiceServer(server, m)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	k := kubernetes{Server: clustertest.New()}
	t.Cleanup(k.Close)
	k.Forward("wasmesh-controller-0", 11882, listener.Addr().String())
	if err := k.Put(clustertest.Pod("wasmesh", "wasmesh-controller-0", clustertest.ControllerLabels, "", true)); err != nil {
		t.Fatal(err)
	}
	if k.kubeconfig, err = k.Kubeconfig(t.TempDir(), "default"); err != nil {
		t.Fatal(err)
	}
	return k
}

// run runs the command line against the cluster.
func (k kubernetes) run(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	return run(t.Context(), append(args, "--kubeconfig", k.kubeconfig)...)
}

// asPlugin runs it as kubectl does.
func (k kubernetes) asPlugin(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	t.Setenv("KUBECONFIG", k.kubeconfig)
	var stdout, stderr bytes.Buffer
	err = Run(t.Context(), append([]string{"/usr/local/bin/kubectl-wasmesh"}, args...), Streams{Out: &stdout, Err: &stderr})
	return stdout.String(), stderr.String(), err
}

// Objects are the API server's; models, hosts and decisions the controller's.
func TestGetFromACluster(t *testing.T) {
	m := withHistory(t)
	m.objects = nil // Nobody may ask it for objects.
	k := m.inKubernetes(t)
	if err := k.Put(serviceObject("digits", loadedStatus).json, strings.Replace(serviceObject("elsewhere", loadedStatus).json, `"namespace":"default"`, `"namespace":"other"`, 1)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "isvc"}, "digits grpc://127.0.0.1:8033 True"},
		{[]string{"get", "isvc", "-n", "other"}, "elsewhere grpc://127.0.0.1:8033 True"},
		{[]string{"get", "models"}, digitsID + " digits active Loaded 1 3.0Mi"},
		{[]string{"get", "hosts"}, "mlserver-1.x-0 mlserver-1.x <none> Ready 1 3.0Mi 1.0Gi"},
		{[]string{"copies", "digits"}, digitsID + " mlserver-1.x-0 Loaded 3.0Mi 0 0 <none>"},
		{[]string{"why", "digits"}, "Last placement: "},
		{[]string{"describe", "isvc", "digits"}, "Name: digits"},
	} {
		for _, run := range []func(*testing.T, ...string) (string, string, error){k.run, k.asPlugin} {
			out, _, err := run(t, c.args...)
			if err != nil || !slices.ContainsFunc(rows(out), func(row string) bool { return strings.HasPrefix(row, c.want) }) {
				t.Errorf("%v: error %v\n%s", c.args, err, out)
			}
		}
	}
}

// How the program is called is how it tells people to call it.
func TestWordsOfACluster(t *testing.T) {
	k := digits().inKubernetes(t)
	if _, _, err := k.asPlugin(t, "get", "policies"); err == nil || !strings.Contains(err.Error(), "`kubectl wasmesh policy status`") {
		t.Errorf("error %v", err)
	}
	if _, _, err := k.run(t, "get", "policies"); err == nil || !strings.Contains(err.Error(), "`wasmesh --kube policy status`") {
		t.Errorf("error %v", err)
	}
	if out, _, err := k.asPlugin(t, "get", "--help"); err != nil || !strings.Contains(out, "kubectl wasmesh get isvc|") {
		t.Errorf("error %v\n%s", err, out)
	}
	if _, _, err := k.run(t, "get", "isvc", "--data-dir", "d"); err == nil || !strings.Contains(err.Error(), "leave one or the others out") {
		t.Errorf("two meshes: error %v", err)
	}
	// A data directory that is named is meant, whatever the program is called.
	if _, _, err := k.asPlugin(t, "get", "isvc", "--data-dir", t.TempDir()); err == nil || !strings.Contains(err.Error(), "no mesh runs in ") {
		t.Errorf("error %v", err)
	}
	k.Forbid("create pods/portforward")
	if _, _, err := k.run(t, "get", "hosts"); err == nil || !strings.Contains(err.Error(), "you may not forward ports of pods in namespace wasmesh") {
		t.Errorf("error %v", err)
	}
	if _, _, err := k.run(t, "get", "isvc"); err != nil {
		t.Errorf("objects need no port: %v", err)
	}
	if err := k.Put(serviceObject("digits", loadedStatus).json); err != nil {
		t.Fatal(err)
	}
	if out, _, err := k.run(t, "describe", "isvc", "digits"); err != nil || !strings.Contains(out, "\nModels:  <unknown>: you may not forward ports of pods") {
		t.Errorf("error %v\n%s", err, out)
	}
	out, _, err := k.run(t, "policy", "apply", folder(t, hooktest.Module{}))
	if err == nil || !strings.Contains(out, "ConfigMap mine written to namespace wasmesh") || !strings.Contains(err.Error(), "what becomes of policy mine cannot be seen: you may not forward") {
		t.Errorf("error %v\n%s", err, out)
	}
}

// Requests go to a pod behind the Service, over REST and gRPC.
func TestInferInACluster(t *testing.T) {
	k := digits().inKubernetes(t)
	rest, grpcAddress := serveREST(t), serveGRPC(t)
	if err := k.Put(`{apiVersion: v1, kind: Service, metadata: {namespace: default, name: modelmesh-serving},
spec: {selector: {modelmesh-service: modelmesh-serving}, ports: [{name: grpc, port: 8033, targetPort: 8033}, {name: http, port: 8008, targetPort: 8008}]}}`,
		clustertest.Pod("default", "mlserver-0", "modelmesh-service: modelmesh-serving", "", true)); err != nil {
		t.Fatal(err)
	}
	k.Forward("mlserver-0", 8008, rest)
	k.Forward("mlserver-0", 8033, grpcAddress)
	request := writeRequest(t, requestFile)
	for _, args := range [][]string{{"infer", "digits", "-f", request}, {"infer", "digits", "-f", request, "--grpc"}} {
		if out, _, err := k.run(t, args...); err != nil || !strings.Contains(out, "digits") {
			t.Errorf("%v: error %v, output %q", args, err, out)
		}
	}
	if _, _, err := k.run(t, "infer", "digits", "-f", request, "-n", "other"); err == nil || !strings.Contains(err.Error(), "namespace other has no Service modelmesh-serving") {
		t.Errorf("error %v", err)
	}
}

// A policy goes into the controller's namespace, and what becomes of it is said.
func TestPolicyApplyInACluster(t *testing.T) {
	dir := folder(t, hooktest.Module{})
	m := digits()
	m.policyLooks = becoming(t, adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, "")
	k := m.inKubernetes(t)
	out, errs, err := k.run(t, "policy", "apply", dir)
	if err != nil || errs != "" || out != "ConfigMap mine written to namespace wasmesh of the cluster\nevict: Programmed on 2 of 2 hosts\n" {
		t.Errorf("error %v, output %q, %q", err, out, errs)
	}
	if stored := k.Object("configmaps", "wasmesh", "mine"); stored == nil || stored.GetLabels()["wasmesh.dev/policy"] != "true" {
		t.Errorf("stored %v", stored)
	}
	if _, _, err := k.run(t, "policy", "apply", dir, "-n", "default"); err == nil || !strings.Contains(err.Error(), "reads policies of namespace wasmesh only") {
		t.Errorf("another namespace: error %v", err)
	}
	printed, _, err := k.run(t, "policy", "apply", dir, "-o", "-")
	if err != nil || !strings.Contains(printed, "\n  namespace: wasmesh\n") {
		t.Errorf("error %v\n%s", err, printed)
	}
	k.Forbid("create configmaps")
	if _, _, err := k.run(t, "policy", "apply", dir, "--name", "another"); err == nil || !strings.Contains(err.Error(), "you may not update configmaps in namespace wasmesh") {
		t.Errorf("error %v", err)
	}
}

// A policy that was taken back by hand stays so however often it is applied: the way out is said.
func TestPolicyApplyOfASuspendedOne(t *testing.T) {
	dir := folder(t, hooktest.Module{})
	suspended := []*adminv1.ListPoliciesResponse{policyList(entry(t, adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED, "taken back by hand"))}
	const said = "evict: Suspended: taken back by hand\n"
	const advice = "It decides again once its ConfigMap has been deleted and made anew: `%s`, then apply it again.\n"
	m := digits()
	k := m.inKubernetes(t)
	for _, c := range []struct {
		looks []*adminv1.ListPoliciesResponse
		want  string
	}{
		{becoming(t, adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED, "taken back by hand"), "ConfigMap mine written to namespace wasmesh of the cluster\n" + said},
		{suspended, "ConfigMap mine is so already in namespace wasmesh of the cluster\n" + said + fmt.Sprintf(advice, "kubectl delete configmap mine -n wasmesh")},
	} {
		m.policyLooks = c.looks
		m.policyLooked.Store(0)
		if out, _, err := k.run(t, "policy", "apply", dir); err != nil || out != c.want {
			t.Errorf("error %v, output %q, want %q", err, out, c.want)
		}
	}
	source := t.TempDir()
	local := digits()
	local.policyLooks = suspended
	local.serve(t)
	local.launch(t, source)
	if _, _, err := local.run(t, "policy", "apply", dir, "--wait", "0"); err != nil {
		t.Fatal(err)
	}
	if out, _, err := local.run(t, "policy", "apply", dir); err != nil || !strings.HasSuffix(out, said+fmt.Sprintf(advice, "rm "+filepath.Join(source, "mine.yaml"))) {
		t.Errorf("on one machine: error %v, output %q", err, out)
	}
}

func TestNoKubeconfig(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, _, err := run(t.Context(), "get", "isvc", "--kube"); err == nil || !strings.Contains(err.Error(), "choose another with --kubeconfig or --context") {
		t.Errorf("error %v", err)
	}
}
