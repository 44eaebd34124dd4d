namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>An expert's matrices as the contract hands them out.</summary>
internal static unsafe class ExpertBytes
{
    public static float[] Singles(this MoeExpertReader reader, int expert)
    {
        float[] values = new float[reader.Outputs * reader.Inputs];
        fixed (float* target = values)
        {
            reader.ReadSingles(expert, (nint)target);
        }

        return values;
    }

    public static float[] Bias(this MoeExpertReader reader, int expert)
    {
        float[] values = new float[reader.Outputs];
        fixed (float* target = values)
        {
            reader.ReadBias(expert, (nint)target);
        }

        return values;
    }

    public static MoeExpertReader GateUp(this CheckpointLayer layer) =>
        new(layer.Source.GateUp, layer.Shape.WeightFormat, layer.Shape.GateUpSize, layer.Shape.ExpertHiddenSize);

    public static MoeExpertReader Down(this CheckpointLayer layer) =>
        new(layer.Source.Down, layer.Shape.WeightFormat, layer.Shape.ExpertHiddenSize, layer.Shape.IntermediateSize);
}
