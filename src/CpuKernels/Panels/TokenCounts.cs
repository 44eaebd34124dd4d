namespace Moe.Plugins.Cpu;

/// <summary>The numbers of tokens that kernels are compiled for.</summary>
internal static class TokenCounts
{
    /// <summary>1.</summary>
    internal readonly struct One : ITokenCount
    {
        static int ITokenCount.Value => 1;
    }

    /// <summary>2.</summary>
    internal readonly struct Two : ITokenCount
    {
        static int ITokenCount.Value => 2;
    }

    /// <summary>3.</summary>
    internal readonly struct Three : ITokenCount
    {
        static int ITokenCount.Value => 3;
    }

    /// <summary>4.</summary>
    internal readonly struct Four : ITokenCount
    {
        static int ITokenCount.Value => 4;
    }

    /// <summary>5.</summary>
    internal readonly struct Five : ITokenCount
    {
        static int ITokenCount.Value => 5;
    }

    /// <summary>6.</summary>
    internal readonly struct Six : ITokenCount
    {
        static int ITokenCount.Value => 6;
    }

    /// <summary>7.</summary>
    internal readonly struct Seven : ITokenCount
    {
        static int ITokenCount.Value => 7;
    }

    /// <summary>8.</summary>
    internal readonly struct Eight : ITokenCount
    {
        static int ITokenCount.Value => 8;
    }

    /// <summary>9.</summary>
    internal readonly struct Nine : ITokenCount
    {
        static int ITokenCount.Value => 9;
    }

    /// <summary>10.</summary>
    internal readonly struct Ten : ITokenCount
    {
        static int ITokenCount.Value => 10;
    }

    /// <summary>11.</summary>
    internal readonly struct Eleven : ITokenCount
    {
        static int ITokenCount.Value => 11;
    }

    /// <summary>12.</summary>
    internal readonly struct Twelve : ITokenCount
    {
        static int ITokenCount.Value => 12;
    }
}
