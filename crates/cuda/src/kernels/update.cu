// One optimizer step on one parameter: weight, gradient and the optimizer's own tensors in one pass.

struct Update {
    float* weight;
    const float* gradient;
    float* slot[3];
    i64 n;
    float rate, a, b, c, epsilon;
    int flag;
};

// slot 0 is the momentum, if a is not 0. a: momentum; flag: look ahead along it.
extern "C" __global__ void __launch_bounds__(256) sgd(Update u) {
    for (i64 i = thread_of_grid(); i < u.n; i += threads_of_grid()) {
        float step = u.rate * u.gradient[i];
        if (u.a == 0.0f) {
            u.weight[i] -= step;
        } else {
            float m = u.a * u.slot[0][i] - step;
            u.slot[0][i] = m;
            u.weight[i] += u.flag ? u.a * m - step : m;
        }
    }
}

// a: rho, b: 1 - rho, c: momentum; flag: centered. Slots: mean square, then mean if centered, then momentum if there is any.
extern "C" __global__ void __launch_bounds__(256) rms_prop(Update u) {
    for (i64 i = thread_of_grid(); i < u.n; i += threads_of_grid()) {
        float g = u.gradient[i], square = u.a * u.slot[0][i] + u.b * g * g;
        u.slot[0][i] = square;
        square += u.epsilon;
        if (u.flag) {
            float mean = u.a * u.slot[1][i] + u.b * g;
            u.slot[1][i] = mean;
            square -= mean * mean;
        }
        float step = u.rate * g / sqrtf(square);
        if (u.c == 0.0f) {
            u.weight[i] -= step;
        } else {
            float* momentum = u.flag ? u.slot[2] : u.slot[1];
            float m = u.c * momentum[i] + step;
            momentum[i] = m;
            u.weight[i] -= m;
        }
    }
}

// a: 1 - beta 1, b: 1 - beta 2; rate holds the correction for the step's number.
extern "C" __global__ void __launch_bounds__(256) adam(Update u) {
    for (i64 i = thread_of_grid(); i < u.n; i += threads_of_grid()) {
        float g = u.gradient[i], m = u.slot[0][i], v = u.slot[1][i];
        m += u.a * (g - m);
        v += u.b * (g * g - v);
        u.slot[0][i] = m;
        u.slot[1][i] = v;
        u.weight[i] -= u.rate * m / (sqrtf(v) + u.epsilon);
    }
}
