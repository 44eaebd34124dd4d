namespace Moe.Plugins.Cpu;

/// <summary>The router's weights and biases, widened to float32.</summary>
internal sealed unsafe class RouterWeights : IDisposable
{
    private readonly NativeBuffer _weights;
    private readonly NativeBuffer _bias;
    private readonly int _hiddenSize;

    public RouterWeights(MoeWeightSource source, MoeLayerShape shape)
    {
        _hiddenSize = shape.HiddenSize;
        _weights = new NativeBuffer((long)shape.ExpertCount * _hiddenSize * sizeof(float));
        _bias = new NativeBuffer((long)shape.ExpertCount * sizeof(float));
        for (int expert = 0; expert < shape.ExpertCount; expert++)
        {
            Floats.ReadRow(source.RouterWeight, expert, Row(expert), 1);
            _bias.Pointer<float>()[expert] = source.RouterBias.IsEmpty ? 0f : Floats.Read(source.RouterBias, 0, expert);
        }
    }

    public long ByteCount => _weights.ByteCount + _bias.ByteCount;

    public float* Row(int expert) => _weights.Pointer<float>() + ((long)expert * _hiddenSize);

    public float Bias(int expert) => _bias.Pointer<float>()[expert];

    public void Dispose()
    {
        _weights.Dispose();
        _bias.Dispose();
    }
}
