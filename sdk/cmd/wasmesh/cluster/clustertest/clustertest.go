// Package clustertest is as much of an API server as the command line uses, for its tests: lists with selectors, watches,
// reading and writing of ConfigMaps, and ports of pods, which are forwarded to listeners of the test.
package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward/portforwardtest"
)

// Server is one. Its methods may be called at any time.
type Server struct {
	http *httptest.Server

	mu      sync.Mutex // guards everything below
	version int
	// objects by "<resource>/<namespace>/<name>".
	objects map[string]*unstructured.Unstructured
	// absent resources are not known; forbidden are "<verb> <resource>".
	absent, forbidden []string
	// addresses of listeners by "<pod>:<port>".
	addresses map[string]string
	watchers  []chan event
	// Writes are "<method> <resource>/<namespace>/<name>", in their order.
	writes []string
}

type event struct {
	resource string
	Type     string                     `json:"type"`
	Object   *unstructured.Unstructured `json:"object"`
}

// New starts one.
func New() *Server {
	s := &Server{objects: map[string]*unstructured.Unstructured{}, addresses: map[string]string{}}
	mux := http.NewServeMux()
	forward := portforwardtest.Handler(s.dial)
	mux.HandleFunc(portforwardtest.Pattern, func(w http.ResponseWriter, r *http.Request) {
		if s.refused(w, "create", "pods/portforward") {
			return
		}
		forward.ServeHTTP(w, r)
	})
	for _, root := range []string{"/api/v1", "/apis/{group}/{groupVersion}"} {
		mux.HandleFunc(root+"/{resource}", s.serve)
		mux.HandleFunc(root+"/{resource}/{name}", s.serve)
		mux.HandleFunc(root+"/namespaces/{namespace}/{resource}", s.serve)
		mux.HandleFunc(root+"/namespaces/{namespace}/{resource}/{name}", s.serve)
	}
	s.http = httptest.NewServer(mux)
	return s
}

// Close ends it.
func (s *Server) Close() {
	s.mu.Lock()
	for _, w := range s.watchers {
		close(w)
	}
	s.watchers = nil
	s.mu.Unlock()
	s.http.Close()
}

// Kubeconfig writes one that names the server, and a namespace, into the directory.
func (s *Server) Kubeconfig(dir, namespace string) (path string, err error) {
	path = filepath.Join(dir, "kubeconfig")
	return path, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test, namespace: %q}}]
clusters: [{name: test, cluster: {server: %q}}]
users: [{name: test, user: {token: secret}}]
`, namespace, s.http.URL), 0o600)
}

// Put adds objects, or replaces them, as YAML documents. Their resource is their kind in lower case and the plural.
func (s *Server) Put(documents ...string) error {
	for _, document := range documents {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			return err
		}
		s.mu.Lock()
		s.put(strings.ToLower(o.GetKind())+"s", o)
		s.mu.Unlock()
	}
	return nil
}

// Delete removes an object.
func (s *Server) Delete(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := resource + "/" + namespace + "/" + name
	if o := s.objects[key]; o != nil {
		delete(s.objects, key)
		s.tell(event{resource, "DELETED", o})
	}
}

// Forbid has "<verb> <resource>" refused from now on.
func (s *Server) Forbid(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden = append(s.forbidden, what)
}

// Remove has a resource not known from now on.
func (s *Server) Remove(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = append(s.absent, resource)
}

// Forward has a port of a pod lead to the address.
func (s *Server) Forward(pod string, port int, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses[pod+":"+strconv.Itoa(port)] = address
}

// Object answers what is stored; nil for nothing.
func (s *Server) Object(resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[resource+"/"+namespace+"/"+name]
}

// Writes answers what clients wrote.
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

func (s *Server) dial(pod portforward.Pod) (net.Conn, error) {
	s.mu.Lock()
	address, found := s.addresses[fmt.Sprintf("%s:%d", pod.Name, pod.Port)]
	s.mu.Unlock()
	if !found {
		return nil, errors.New("connection refused")
	}
	return net.Dial("tcp", address)
}

// put stores under s.mu.
func (s *Server) put(resource string, o *unstructured.Unstructured) {
	key := resource + "/" + o.GetNamespace() + "/" + o.GetName()
	kind := "MODIFIED"
	if s.objects[key] == nil {
		kind = "ADDED"
	}
	s.version++
	o = o.DeepCopy()
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[key] = o
	s.tell(event{resource, kind, o})
}

func (s *Server) tell(e event) {
	for _, w := range s.watchers {
		w <- e
	}
}

// refused answers that a verb is forbidden.
func (s *Server) refused(w http.ResponseWriter, verb, resource string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.forbidden, verb+" "+resource) {
		return false
	}
	fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, verb+" "+resource+" is forbidden", nil)
	return true
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string, details *metav1.StatusDetails) {
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: message, Details: details,
	})
}

func answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // The client sees that it is cut short.
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	resource, namespace, name := r.PathValue("resource"), r.PathValue("namespace"), r.PathValue("name")
	verb := map[string]string{http.MethodGet: "list", http.MethodPost: "create", http.MethodPut: "update"}[r.Method]
	if name != "" && r.Method == http.MethodGet {
		verb = "get"
	}
	// Roles that allow one namespace only are written "list pods --all".
	if namespace == "" && s.refused(w, verb, resource+" --all") || s.refused(w, verb, resource) {
		return
	}
	s.mu.Lock()
	absent := slices.Contains(s.absent, resource)
	s.mu.Unlock()
	switch {
	case absent:
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource", &metav1.StatusDetails{})
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, resource)
	case verb == "list":
		s.list(w, r.URL.Query(), resource, namespace)
	case verb == "get":
		s.get(w, resource, namespace, name)
	default:
		s.write(w, r, resource)
	}
}

func (s *Server) list(w http.ResponseWriter, query url.Values, resource, namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []*unstructured.Unstructured{}
	for key, o := range s.objects {
		if strings.HasPrefix(key, resource+"/") && (namespace == "" || namespace == o.GetNamespace()) && selected(o, query) {
			items = append(items, o)
		}
	}
	slices.SortFunc(items, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

func selected(o *unstructured.Unstructured, query url.Values) bool {
	byLabel, err := labels.Parse(query.Get("labelSelector"))
	if err != nil || !byLabel.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	byField, err := fields.ParseSelector(query.Get("fieldSelector"))
	if err != nil {
		return false
	}
	for _, requirement := range byField.Requirements() {
		value, _, _ := unstructured.NestedString(o.Object, strings.Split(requirement.Field, ".")...)
		if value != requirement.Value {
			return false
		}
	}
	return true
}

func (s *Server) get(w http.ResponseWriter, resource, namespace, name string) {
	if o := s.Object(resource, namespace, name); o != nil {
		answer(w, http.StatusOK, o)
		return
	}
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, resource+" "+name+" not found", &metav1.StatusDetails{Name: name})
}

// write stores an object. An update of another than the stored version is a conflict.
func (s *Server) write(w http.ResponseWriter, r *http.Request, resource string) {
	o := &unstructured.Unstructured{}
	if err := json.NewDecoder(r.Body).Decode(&o.Object); err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error(), nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := resource + "/" + o.GetNamespace() + "/" + o.GetName()
	if present := s.objects[key]; present != nil && present.GetResourceVersion() != o.GetResourceVersion() {
		fail(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified", nil)
		return
	}
	s.writes = append(s.writes, r.Method+" "+key)
	s.put(resource, o)
	answer(w, http.StatusOK, s.objects[key])
}

// watch tells of changes from now on, until the client leaves.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, resource string) {
	events := make(chan event, 16)
	s.mu.Lock()
	s.watchers = append(s.watchers, events)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flusher := w.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e, open := <-events:
			if !open {
				return
			}
			if e.resource == resource && selected(e.Object, r.URL.Query()) {
				_ = json.NewEncoder(w).Encode(e)
				flusher.Flush()
			}
		}
	}
}

// Pod is the manifest of one, with the labels and ports that are given as YAML.
func Pod(namespace, name, labels, ports string, ready bool) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {namespace: %s, name: %s, labels: {%s}},
spec: {containers: [{name: mm, ports: [%s]}]}, status: {conditions: [{type: Ready, status: "%s"}]}}`,
		namespace, name, labels, ports, map[bool]string{true: "True", false: "False"}[ready])
}

// ControllerLabels are those of the controller's pods.
const ControllerLabels = "app.kubernetes.io/name: wasmesh, app.kubernetes.io/component: controller"
