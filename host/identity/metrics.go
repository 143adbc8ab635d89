package identity

import (
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

type metrics struct {
	refusals   *prometheus.CounterVec // reason
	enrolments *prometheus.CounterVec // code
	expiry     prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_certificate_refused_total", Help: "Connections to or from the controller and other hosts whose certificate was refused, by reason.",
		}, []string{"reason"}),
		enrolments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_enrolments_total", Help: "Times that this host asked the controller for a certificate, by gRPC code.",
		}, []string{"code"}),
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wasmesh_certificate_expiry_seconds", Help: "When this host's certificate ends: Unix time; 0 before the first.",
		}),
	}
	for _, reason := range meshcert.Reasons() {
		m.refusals.WithLabelValues(string(reason))
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.refusals, m.enrolments, m.expiry} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) enrolled(code codes.Code) { m.enrolments.WithLabelValues(code.String()).Inc() }
