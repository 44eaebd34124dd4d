namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>Arguments beside the one that is wrong: right by themselves as far as that is known here.</summary>
internal static class Examples
{
    public static object? Make(Type type)
    {
        Type bare = type.IsByRef ? type.GetElementType()! : type;
        return bare switch
        {
            _ when bare == typeof(int) => 1,
            _ when bare == typeof(long) => 1L,
            _ when bare == typeof(float) => 1f,
            _ when bare == typeof(double) => 1d,
            _ when bare == typeof(TimeSpan) => TimeSpan.FromSeconds(1),
            _ when bare == typeof(MoeStoredTensor) => MoeStoredTensor.Stack([MoeStoredTensor.FromArray(new float[4], 2, 2), MoeStoredTensor.FromArray(new float[4], 2, 2)]),
            _ => PublicSurface.Make(type),
        };
    }
}
