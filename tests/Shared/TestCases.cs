namespace Moe.Plugins.Tests;

/// <summary>Cases that the tests of several backends run, with each choice of kernels.</summary>
internal static class TestCases
{
    /// <summary>Names of the golden files that the tests carry with them.</summary>
    public static IEnumerable<string> GoldenFiles =>
        Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "golden"), "*.safetensors").Order().Select(file => Path.GetFileName(file));

    /// <summary>Every golden file with every choice.</summary>
    public static TheoryData<string, string> Golden(TheoryData<string> choices)
    {
        var data = new TheoryData<string, string>();
        foreach (string file in GoldenFiles)
        {
            foreach (string kernels in choices.Select(row => row.Data))
            {
                data.Add(file, kernels);
            }
        }

        return data;
    }

    /// <summary>
    /// Every choice with sizes that are multiples of 32, most of nothing larger: hidden, intermediate, experts, top-k, tokens. They end within
    /// a step of inputs, within a tile, within a stripe; from one token to many tiles an expert, and experts without any.
    /// </summary>
    public static TheoryData<string, int, int, int, int, int> Mxfp4Layers(TheoryData<string> choices)
    {
        var data = new TheoryData<string, int, int, int, int, int>();
        foreach (string kernels in choices.Select(row => row.Data))
        {
            data.Add(kernels, 288, 352, 8, 4, 1);
            data.Add(kernels, 288, 352, 8, 4, 19);
            data.Add(kernels, 352, 288, 8, 4, 700);
            data.Add(kernels, 32, 32, 1, 1, 5);
            data.Add(kernels, 96, 160, 256, 8, 40);
            data.Add(kernels, 64, 128, 130, 1, 300);
            data.Add(kernels, 64, 32, 4, 2, 8);
            data.Add(kernels, 192, 544, 16, 4, 8);
            data.Add(kernels, 2880, 736, 4, 2, 3);
            data.Add(kernels, 2880, 2880, 4, 2, 3);
            data.Add(kernels, 2880, 2880, 4, 2, 60);
            data.Add(kernels, 2880, 2880, 4, 3, 400);
        }

        return data;
    }
}
