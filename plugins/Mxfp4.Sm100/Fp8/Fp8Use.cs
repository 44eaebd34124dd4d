namespace Moe.Plugins.Sm100;

/// <summary>When products run on FP8 tensor cores: the setting <c>Fp8</c>.</summary>
internal enum Fp8Use
{
    /// <summary>Never.</summary>
    Off,

    /// <summary>From so many tokens on that it was measured to be faster.</summary>
    Auto,

    /// <summary>Always.</summary>
    On,
}
