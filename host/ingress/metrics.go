package ingress

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/route"
)

// millisecondBuckets and the size buckets are ModelMesh's, so that its dashboards work.
func millisecondBuckets() []float64 {
	return []float64{.5, 1, 2, 5, 10, 20, 50, 75, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 60000, 120000, 300000}
}

// metrics of requests. The modelmesh_* ones keep ModelMesh's names, units and labels.
type metrics struct {
	api, invoke             *prometheus.HistogramVec // method, code; milliseconds
	requestSize, answerSize *prometheus.HistogramVec // method, code; bytes
	outcomes                *prometheus.CounterVec   // outcome
	proxied                 *prometheus.CounterVec   // result
	hops                    prometheus.Histogram
	handshakes              prometheus.Counter
	inFlight, waiting       prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer, budget *Budget) *metrics {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"method", "code"})
	}
	sizes := prometheus.ExponentialBuckets(128, 4, 8)
	m := &metrics{
		api:         histogram("modelmesh_api_request_milliseconds", "Time from a request's arrival to its end.", millisecondBuckets()),
		invoke:      histogram("modelmesh_invoke_model_milliseconds", "Time that the model server took for a request.", millisecondBuckets()),
		requestSize: histogram("modelmesh_request_size_bytes", "Bytes of request messages, prefixes included.", sizes),
		answerSize:  histogram("modelmesh_response_size_bytes", "Bytes of response messages, prefixes included.", sizes),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_requests_total", Help: "Requests to models by how they ended; each has one outcome."}, []string{"outcome"}),
		proxied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_proxied_requests_total",
			Help: "Requests that other hosts passed on to this one, by how they ended here: an outcome, or not_here_ and why."}, []string{"result"}),
		hops: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wasmesh_request_hops", Help: "Peers that a request was passed on to, of requests that came to this host first.",
			Buckets: []float64{0, 1, 2, 3, 8}}),
		handshakes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wasmesh_tls_handshake_failures_total", Help: "Connections, of clients and of hosts, that did not become TLS."}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wasmesh_requests_in_flight", Help: "Requests to models that have not ended."}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wasmesh_requests_waiting", Help: "Requests that wait for their model to be loaded."}),
	}
	registry.MustRegister(m.api, m.invoke, m.requestSize, m.answerSize, m.outcomes, m.proxied, m.hops, m.handshakes, m.inFlight, m.waiting,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "wasmesh_waiting_bytes", Help: "Memory charged to requests that wait, of --waiting-budget-bytes.",
		}, func() float64 { return float64(budget.Used()) }))
	return m
}

// record is what is measured of one request.
type record struct {
	start        time.Time
	model        string    // as the client named it; empty: it is not known yet
	invoked      time.Time // of this host's model server; zero: never
	requestBytes atomic.Int64
	sentBytes    int64
	// hops counts the peers that it was sent to.
	hops int
}

// begin counts a request until the function that it returns is called.
func (s *Server) begin() (end func()) {
	s.handlers.begin()
	s.metrics.inFlight.Inc()
	return func() {
		s.metrics.inFlight.Dec()
		s.handlers.end()
	}
}

// done is the end of a request that came to this host first.
func (s *Server) done(r *record, method string, end answer) {
	s.metrics.done(r, s.methodLabel(method), end)
	if s.config.AccessLog {
		s.log.Info("request", "model", logged(r.model), "method", logged(method), "outcome", end.outcome.String(),
			"code", codeName(end.code), "duration", time.Since(r.start), "hops", r.hops)
	}
}

// logged bounds what a client can write into the log.
func logged(said string) string {
	const most = 256
	return said[:min(len(said), most)]
}

// done counts the end of a request that came to this host first.
func (m *metrics) done(r *record, method string, end answer) {
	code := codeName(end.code)
	m.api.WithLabelValues(method, code).Observe(milliseconds(time.Since(r.start)))
	m.invoked(r, method, end)
	m.requestSize.WithLabelValues(method, code).Observe(float64(r.requestBytes.Load()))
	m.answerSize.WithLabelValues(method, code).Observe(float64(r.sentBytes))
	m.outcomes.WithLabelValues(end.outcome.String()).Inc()
	m.hops.Observe(float64(r.hops))
}

// invoked counts what this host's model server was asked, for whomever.
func (m *metrics) invoked(r *record, method string, end answer) {
	if !r.invoked.IsZero() {
		m.invoke.WithLabelValues(method, codeName(end.code)).Observe(milliseconds(time.Since(r.invoked)))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// methodLabel keeps the label's values few, whatever clients call.
func (s *Server) methodLabel(method string) string {
	if _, ok := s.methods[method]; ok {
		return method
	}
	return "other"
}

// codeName is the code as gRPC's specification, and so ModelMesh, writes it.
func codeName(code codes.Code) string {
	names := [...]string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
		"UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}
	if int(code) < len(names) {
		return names[code]
	}
	return "OTHER"
}

// served is the end of a request that the model server answered.
func served(code codes.Code) answer { return answer{outcome: route.Served, code: code} }
